"""The files of a folder of photos: which are taken, of what kind they are, and how many are held at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import SamplesError
from quantlab.samples import draw, image_files

__all__ = ["PLAIN", "Photos", "kinds_of", "photos_of"]

PLAIN = "plain"
"""The kind of a file of no special kind: 8 bits, RGB, upright."""

_BLOCK_PIXELS = 24_000_000
"""Pixels of the photos that are decoded at once: 72 MB for each decoder."""

_BLOCK_PHOTOS = 64

_TAIL_BYTES = 1024
"""Bytes at the end of a file among which the mark of its end must be; some programs write something behind it."""

_ORIENTATION = 274
"""The EXIF tag."""


@dataclass(frozen=True, slots=True)
class Photos:
    """The photos of a comparison."""

    names: tuple[str, ...]
    """Paths in the folder."""
    paths: tuple[Path, ...]
    labels: npt.NDArray[np.int64] | None
    """(n,): the place of each photo's class folder; None without such folders."""
    available: int
    drawn: str
    taken: npt.NDArray[np.int64] | None = None
    """(n,): their places among all photos of the folder; None if that is not known."""

    def blocks(self) -> Iterator[range]:
        """Ranges of photos whose pixels are held at once."""
        start, pixels = 0, 0
        for place, path in enumerate(self.paths):
            more = _pixels(path)
            if place > start and (pixels + more > _BLOCK_PIXELS or place - start == _BLOCK_PHOTOS):
                yield range(start, place)
                start, pixels = place, 0
            pixels += more
        yield range(start, len(self.paths))


def photos_of(data: str, *, classes: tuple[str, ...] | None, limit: int, seed: int) -> Photos:
    """Draw photos from a folder, stratified by class folder; nothing is decoded.

    Raises:
        SamplesError: If `data` is no folder, or holds no images.
        UsageError: If `classes` are not its folders.
    """
    folder = Path(data)
    if not folder.is_dir():
        raise SamplesError(
            f"'{data}' is not a folder, and pipelines are compared on image files; give a folder of them"
        )
    files = image_files(folder, data, classes)
    n = len(files.paths)
    taken = np.arange(n) if n <= limit else draw(limit, n=n, labels=files.labels, seed=seed)
    words = "stratified" if files.labels is not None else "random"
    paths = tuple(files.paths[place] for place in taken)
    return Photos(
        names=tuple(path.relative_to(folder).as_posix() for path in paths),
        paths=paths,
        labels=None if files.labels is None else np.asarray(files.labels)[taken],
        available=n,
        drawn="all" if n <= limit else f"{words}, seed {seed}",
        taken=taken,
    )


def _pixels(path: Path) -> int:
    """Pixels of a photo by its header; those of a whole block for a file that Pillow refuses or does not know.

    Other libraries may decode it, however large it is, so no other photo is held beside it.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.width * image.height
    except Exception:  # noqa: BLE001 (a file of the user may make a library raise anything)
        return _BLOCK_PIXELS


def kinds_of(path: Path) -> tuple[str, ...]:
    """The special kinds of a file, by its header and its last bytes; `PLAIN` alone if it is of none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            kinds = [kind for kind, holds in _facts(path, image).items() if holds]
    except Exception:  # noqa: BLE001 (a file of the user may make a library raise anything)
        return ("unreadable",)
    return tuple(kinds) or (PLAIN,)


def _facts(path: Path, image: Any) -> dict[str, bool]:
    head, tail = _ends(path)
    end = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}.get(str(image.format))
    truncated = end is not None and end not in tail
    grey = image.mode in {"1", "L", "LA", "F"} or image.mode.startswith("I")
    # Pillow opens colours of 16 bits as 8, so the header of a PNG file tells.
    deep = image.mode.startswith("I") or (image.format == "PNG" and head[24:25] == b"\x10")
    return {
        "grey": grey and not deep,
        "CMYK": image.mode in {"CMYK", "YCCK"},
        "palette": image.mode == "P",
        "alpha": image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info,
        "16 bits": deep and not grey,
        # A kind of its own, because the declared Pillow refuses such files and takes colours of 16 bits.
        "16 bits, grey": deep and grey,
        # Pillow reads a PNG file to its end for this.
        "EXIF orientation": not truncated and image.getexif().get(_ORIENTATION, 1) != 1,
        "ICC profile": "icc_profile" in image.info,
        "progressive": bool(image.info.get("progressive")),
        "animated": bool(getattr(image, "is_animated", False)),
        "truncated": truncated,
    }


def _ends(path: Path) -> tuple[bytes, bytes]:
    with path.open("rb") as file:
        head = file.read(32)
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return head, file.read()
