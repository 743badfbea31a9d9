"""The contract of decoders."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from quantlab.preprocessing.contract import Pixels
from quantlab.types import ImageBytes

__all__ = ["Decode", "Decoder", "ImageFile", "words_of"]

ImageFile = Path | ImageBytes
"""An image file, or one that lies inside of another file."""
Decode = Callable[[ImageFile, bool], Pixels]
"""Function from a file, and whether it must be grey, to uint8 (height, width, 3 or 1), red first.

It raises SamplesError for a file that it does not decode.
"""


def words_of(image: ImageFile) -> str:
    """The image as a message names it, as the beginning of a sentence.

    >>> words_of(Path("a.png")), words_of(ImageBytes("record 0 of 'x.tar'", b""))
    ("the image 'a.png'", "the image in record 0 of 'x.tar'")
    """
    place = image.name if isinstance(image, ImageBytes) else image
    return f"the image '{place}'" if isinstance(place, Path) else f"the image in {place}"


@dataclass(frozen=True, slots=True)
class Decoder:
    """Turns the bytes of an image file into pixels."""

    library: str
    """The function that it calls, with its options."""
    package: str
    """The package to install if its module is absent."""
    module: str
    """The module that must be importable."""
    opened: Callable[[], AbstractContextManager[Decode]]
    """Function that starts what decoding needs, and gives the function that decodes; threads may share that."""
    grey: str
    """The formula that turns colours into grey."""
    grey_of: Callable[[Pixels], Pixels]
    """Function from uint8 (height, width, 3), red first, to grey (height, width, 1)."""
    behaviour: Mapping[str, str]
    """Kind of file → what happens to it; all decoders have the same kinds."""
