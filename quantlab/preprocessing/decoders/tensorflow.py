"""Decodes images with TensorFlow, in a process of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError
from quantlab.preprocessing.contract import Pixels
from quantlab.preprocessing.decoder_contract import Decode, Decoder, ImageFile, words_of
from quantlab.processes import Child, ChildDied, ChildStalled, OwnFolder, PythonModule, onednn, python_environment
from quantlab.processes.preload import WORKERS_OF_KERAS_3

__all__ = ["TENSORFLOW", "grey_of"]

_STALL_SECONDS = 120.0


@contextmanager
def opened() -> Iterator[Decode]:
    """Start the process, and give the function that decodes one file with it; threads take turns."""
    lock = threading.Lock()
    with (
        OwnFolder("decode") as own,
        Child(
            PythonModule("quantlab.worker.decode", WORKERS_OF_KERAS_3),
            log=own.path / "decode.log",
            environment=python_environment(onednn=onednn()),
            temporary=own,
        ) as child,
    ):
        target = own.path / "pixels.npy"

        def decode(path: ImageFile, grey: bool) -> Pixels:
            with lock:
                _ask(child, path, target)
                pixels: Pixels = np.load(target)
            return grey_of(pixels) if grey else pixels

        yield decode


def _ask(child: Child, path: ImageFile, target: Path) -> None:
    file = path if isinstance(path, Path) else target.with_name("image")
    if not isinstance(path, Path):
        file.write_bytes(path.content)
    try:
        child.send({"request": "decode", "path": str(file.absolute()), "target": str(target)})
        for message in child.messages(_STALL_SECONDS):
            if message["type"] == "failed":
                raise SamplesError(f"{words_of(path)} cannot be decoded ({message['reason']}); repair or remove it")
    except (ChildDied, ChildStalled) as error:
        raise SamplesError(f"TensorFlow could not decode {words_of(path)} ({error}); repair or remove it") from error


def grey_of(pixels: Pixels) -> Pixels:
    """Make uint8 (height, width, 3) grey as `tf.image.rgb_to_grayscale`: float32, and cut to whole numbers."""
    values = pixels.astype(np.float32) * np.float32(1 / 255)
    red, green, blue = (values[..., channel : channel + 1] for channel in range(3))
    total = red * np.float32(0.2989) + green * np.float32(0.587) + blue * np.float32(0.114)
    grey: Pixels = (total * np.float32(255.5)).astype(np.uint8)
    return grey


TENSORFLOW = Decoder(
    library="tf.io.decode_image(content, channels=3, expand_animations=False)",
    package="tensorflow",
    module="tensorflow",
    opened=opened,
    grey="⌊(0.2989 R + 0.587 G + 0.114 B) / 255 · 255.5⌋ in float32, as tf.image.rgb_to_grayscale",
    grey_of=grey_of,
    behaviour={
        "grey": "repeated in three channels",
        "CMYK": "converted without a profile, up to 8 steps from Pillow",
        "palette": "colours of the palette; transparent entries keep their colour",
        "alpha": "dropped; transparent pixels keep their colour",
        "16 bits, grey": "the upper 8 bits",
        "16 bits": "the upper 8 bits",
        "EXIF orientation": "ignored: the picture lies on its side",
        "ICC profile": "ignored",
        "progressive": "decoded whole; JPEG values some steps from Pillow, because a faster transform is the default",
        "truncated": "refused",
        "animated": "the first frame",
    },
)
