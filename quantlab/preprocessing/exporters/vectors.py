"""Test vectors of a pipeline: images, their decoded pixels, and the tensors that Python makes of them."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from quantlab.preprocessing.apply import in_colours, tensor_of
from quantlab.preprocessing.contract import Pixels
from quantlab.types import Pipeline

__all__ = ["vector_sizes", "write_vectors"]


def write_vectors(pipeline: Pipeline, folder: Path, tolerance: float) -> None:
    """Write `vectors.json`, and for each vector `images/*.png`, `pixels/*.bin` and `expected/*.bin`.

    Pixels are uint8 (height, width, 3), red first; expected tensors are float32, little-endian, without the batch
    dimension.
    """
    vectors = []
    for name, size in vector_sizes(pipeline).items():
        image = folder / "images" / f"{name}.png"
        drawn = picture(*size)
        _save(image, drawn)
        # PNG loses nothing, so that every decoder gives the pixels that were drawn.
        tensor = tensor_of(pipeline, in_colours(pipeline, drawn))
        _write(folder / "pixels" / f"{name}.bin", drawn.tobytes())
        _write(folder / "expected" / f"{name}.bin", tensor.astype("<f4").tobytes())
        vectors.append(
            {
                "image": f"images/{name}.png",
                "pixels": f"pixels/{name}.bin",
                "expected": f"expected/{name}.bin",
                "height": size[0],
                "width": size[1],
                "shape": list(tensor.shape),
            }
        )
    document = {
        "pipeline_sha256": pipeline.sha256,
        "pipeline": asdict(pipeline),
        "tolerance": tolerance,
        "vectors": vectors,
    }
    (folder / "vectors.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def vector_sizes(pipeline: Pipeline) -> dict[str, tuple[int, int]]:
    """Names and sizes: larger, smaller, wide, tall, and as the input, or only this if nothing is resized."""
    height, width = pipeline.size
    same = {"same": (height, width)}
    if pipeline.resize == "none":
        return same
    return {
        "wide": (height * 5 // 4 + 1, width * 17 // 10 + 2),
        "tall": (height * 5 // 2 + 1, width * 11 // 10 + 1),
        "small": (height * 3 // 5 + 1, width * 7 // 10 + 1),
        **same,
    }


def picture(height: int, width: int) -> Pixels:
    """Draw waves, an edge and some grain, so that every step of the pipeline shows; the same at each call."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [np.sin(x / (7 + 4 * channel)) * np.cos(y / (11 - 2 * channel)) for channel in range(3)]
    image = 128 + 90 * np.stack(waves, axis=-1)
    image[(x > width / 3) & (y > height / 2)] *= 0.4
    # Not from a generator of random numbers, whose stream may change with its library.
    grain = ((x * 7 + y * 13) % 17 - 8)[..., None]
    drawn: Pixels = np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)
    return drawn


def _save(path: Path, pixels: Pixels) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
