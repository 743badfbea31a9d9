"""Decodes images with Pillow."""

from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError
from quantlab.preprocessing.contract import Decoder, Pixels

__all__ = ["PILLOW"]


def decode(path: Path, grey: bool) -> Pixels:
    """Decode one file to (height, width, 3), or (height, width, 1) if `grey`; upright as its EXIF tag says.

    Raises:
        SamplesError: If the file cannot be decoded, or has more than 8 bits per channel.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            if opened.mode[0] in "IF":
                raise SamplesError(
                    f"the image '{path}' has pixel mode {opened.mode}, and only 8 bits per channel are supported; "
                    "convert it to 8 bits"
                )
            image = ImageOps.exif_transpose(opened).convert("L" if grey else "RGB")
    except UnidentifiedImageError as error:
        raise SamplesError(f"the image '{path}' has no format that Pillow can read; repair or remove it") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SamplesError(f"the image '{path}' cannot be decoded ({error}); repair or remove it") from error
    pixels = np.asarray(image)
    return pixels[..., None] if grey else pixels


PILLOW = Decoder(
    library="PIL.ImageOps.exif_transpose(PIL.Image.open(file)).convert('RGB')",
    package="pillow",
    module="PIL",
    decode=decode,
    grey="(19595 R + 38470 G + 7471 B + 32768) >> 16",
    behaviour={
        "grey": "repeated in three channels",
        "CMYK": "converted without a profile: R = 255 − min(255, C + K) for Pillow's rounding of each product",
        "palette": "colours of the palette; transparent entries keep their colour",
        "alpha": "dropped; transparent pixels keep their colour",
        "16 bits": "grey is refused; colours are cut to their upper 8 bits",
        "EXIF orientation": "applied",
        "ICC profile": "ignored",
        "progressive": "decoded whole",
        "truncated": "refused",
        "animated": "the first frame",
    },
)
