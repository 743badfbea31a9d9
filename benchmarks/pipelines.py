"""Writes the photos on which `docs/guides/diagnosing.md` compares pipelines: `python benchmarks/pipelines.py FOLDER`.

They come with scikit-image, which must be installed. PNG files are saved as JPEG with quality 92.
Then run:

    quantlab diagnose flowers.h5 --data FOLDER --preprocessing-mode tf --pipelines all
"""

import argparse
import shutil
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

NAMES = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "microaneurysms.png",
    "moon.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "rocket.jpg",
)
"""Photos, without drawings, charts and pages of text."""

QUALITY = 92


def main() -> None:
    """Write the photos into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise SystemExit("scikit-image is not installed; install it with 'pip install scikit-image'")
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        source = Path(package.origin).parent / "data" / name
        if source.suffix == ".jpg":
            shutil.copy(source, folder / name)
        else:
            Image.open(source).convert("RGB").save(folder / f"{source.stem}.jpg", quality=QUALITY)


if __name__ == "__main__":
    main()
