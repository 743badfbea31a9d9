"""Steps of the pipelines that turn image files into tensors, with the libraries that people call in Python.

A step is a function, named as `module:function` in the request: a decoder from the bytes of a file, and whether it must
give grey, to uint8 (height, width, 3 or 1), red first; or a resizer from such pixels and a height and width to uint8 or
float32 pixels. What these functions raise costs one picture.
"""

import io
import re
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.runtimes.exchange import Picture
from quantlab.runtimes.requests import Prepare
from quantlab.types.messages import Prepared
from quantlab.worker.emit import Emit

__all__ = [
    "decode_opencv",
    "decode_pillow",
    "decode_tensorflow",
    "prepare_pictures",
    "resize_opencv_area",
    "resize_opencv_linear",
    "resize_pillow_bicubic",
    "resize_pillow_bilinear",
    "resize_pillow_nearest",
    "resize_tensorflow",
    "resize_tensorflow_antialias",
]

Array = npt.NDArray[Any]


def prepare_pictures(request: Prepare, emit: Emit) -> None:
    """Run the steps on the pictures, and write the pixels one behind the other."""
    steps = [(name, resolve_name(name)) for name in request.steps]
    with Path(request.target).open("wb") as target:
        for place, picture in enumerate(request.pictures):
            for name, step in steps:
                offset = target.tell()
                try:
                    pixels = _pixels(picture, step, grey=request.grey)
                except Exception as error:  # noqa: BLE001 (a file of the user may make a library raise anything)
                    emit(Prepared(place, name, offset, (), "", _reason(error)))
                    continue
                target.write(pixels.tobytes())
                target.flush()
                emit(Prepared(place, name, offset, pixels.shape, pixels.dtype.name, None))


_INNER = re.compile(r"\{\{[^}]*\}\}|\[Op:\w+\]")
"""What TensorFlow writes about its own functions into a message."""


def _reason(error: Exception) -> str:
    said = " ".join(_INNER.sub("", str(error)).split())
    return said[:300] or type(error).__name__


def _pixels(picture: Picture, step: Any, *, grey: bool) -> Array:
    with Path(picture.file).open("rb") as file:
        file.seek(picture.offset)
        content = file.read(picture.length)
    if not picture.shape:
        return np.ascontiguousarray(step(content, grey))
    return np.ascontiguousarray(step(np.frombuffer(content, np.uint8).reshape(picture.shape), picture.size))


def decode_pillow(content: bytes, grey: bool) -> Array:
    """`Image.open(file).convert('RGB')`, or `'L'` for grey."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[..., None] if grey else pixels


def resize_pillow_bilinear(pixels: Array, size: tuple[int, int]) -> Array:
    """`image.resize((width, height), Image.BILINEAR)`."""
    from PIL import Image

    return _pillow_resize(pixels, size, Image.Resampling.BILINEAR)


def resize_pillow_bicubic(pixels: Array, size: tuple[int, int]) -> Array:
    """`image.resize((width, height))`, which is bicubic."""
    from PIL import Image

    return _pillow_resize(pixels, size, Image.Resampling.BICUBIC)


def resize_pillow_nearest(pixels: Array, size: tuple[int, int]) -> Array:
    """`image.resize((width, height), Image.NEAREST)`, as `keras.utils.load_img` does."""
    from PIL import Image

    return _pillow_resize(pixels, size, Image.Resampling.NEAREST)


def _pillow_resize(pixels: Array, size: tuple[int, int], resample: int) -> Array:
    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(image.resize((size[1], size[0]), resample)).reshape(*size, pixels.shape[2])


def decode_tensorflow(content: bytes, grey: bool) -> Array:
    """`tf.io.decode_image(content, channels, expand_animations=False)`."""
    import tensorflow as tf

    pixels: Array = tf.io.decode_image(content, channels=1 if grey else 3, expand_animations=False).numpy()
    return pixels


def decode_opencv(content: bytes, grey: bool) -> Array:
    """`cv2.imdecode`, with the channels turned to red first.

    Raises:
        ValueError: If OpenCV cannot decode it.
    """
    import cv2

    code = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), code) if content else None
    if pixels is None:
        raise ValueError("OpenCV gives None for this file")
    decoded: Array = pixels[..., None] if grey else pixels[..., ::-1]
    return decoded


def resize_tensorflow(pixels: Array, size: tuple[int, int]) -> Array:
    """`tf.image.resize(pixels, size)`: bilinear, without antialias."""
    return _tensorflow_resize(pixels, size, antialias=False)


def resize_tensorflow_antialias(pixels: Array, size: tuple[int, int]) -> Array:
    """`tf.image.resize(pixels, size, antialias=True)`: bilinear."""
    return _tensorflow_resize(pixels, size, antialias=True)


def _tensorflow_resize(pixels: Array, size: tuple[int, int], *, antialias: bool) -> Array:
    import tensorflow as tf

    resized: Array = tf.image.resize(pixels, size, antialias=antialias).numpy()
    return resized


def resize_opencv_linear(pixels: Array, size: tuple[int, int]) -> Array:
    """`cv2.resize(pixels, size)`: `INTER_LINEAR`, without antialias."""
    import cv2

    return _opencv_resize(pixels, size, cv2.INTER_LINEAR)


def resize_opencv_area(pixels: Array, size: tuple[int, int]) -> Array:
    """`cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)`."""
    import cv2

    return _opencv_resize(pixels, size, cv2.INTER_AREA)


def _opencv_resize(pixels: Array, size: tuple[int, int], interpolation: int) -> Array:
    import cv2

    resized: Array = cv2.resize(np.ascontiguousarray(pixels), (size[1], size[0]), interpolation=interpolation)
    return resized.reshape(*size, pixels.shape[2])
