"""Decodes images with Pillow."""

import io
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError
from quantlab.preprocessing.contract import Pixels
from quantlab.preprocessing.decoder_contract import Decoder, ImageFile, words_of

__all__ = ["PILLOW", "grey_of"]


def grey_of(pixels: Pixels) -> Pixels:
    """Make uint8 (height, width, 3) grey as `Image.convert("L")`."""
    red, green, blue = (pixels[..., channel : channel + 1].astype(np.int64) for channel in range(3))
    grey: Pixels = ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).astype(np.uint8)
    return grey


def decode(path: ImageFile, grey: bool) -> Pixels:
    """Decode one file to (height, width, 3), or (height, width, 1) if `grey`; upright as its EXIF tag says.

    Raises:
        SamplesError: If the file cannot be decoded, or has more than 8 bits per channel.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path if isinstance(path, Path) else io.BytesIO(path.content)) as opened:
            if opened.mode[0] in "IF":
                raise SamplesError(
                    f"{words_of(path)} has pixel mode {opened.mode}, and only 8 bits per channel are supported; "
                    "convert it to 8 bits"
                )
            image = ImageOps.exif_transpose(opened).convert("L" if grey else "RGB")
    except UnidentifiedImageError as error:
        raise SamplesError(f"{words_of(path)} has no format that Pillow can read; repair or remove it") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SamplesError(f"{words_of(path)} cannot be decoded ({error}); repair or remove it") from error
    pixels = np.asarray(image)
    return pixels[..., None] if grey else pixels


PILLOW = Decoder(
    library="PIL.ImageOps.exif_transpose(PIL.Image.open(file)).convert('RGB')",
    package="pillow",
    module="PIL",
    opened=lambda: nullcontext(decode),
    grey="(19595 R + 38470 G + 7471 B + 32768) >> 16",
    grey_of=grey_of,
    behaviour={
        "grey": "repeated in three channels",
        "CMYK": "converted without a profile: R = 255 − min(255, C + K)",
        "palette": "colours of the palette; transparent entries keep their colour",
        "alpha": "dropped; transparent pixels keep their colour",
        "16 bits, grey": "refused",
        "16 bits": "the upper 8 bits",
        "EXIF orientation": "applied",
        "ICC profile": "ignored",
        "progressive": "decoded whole",
        "truncated": "refused",
        "animated": "the first frame",
    },
)
