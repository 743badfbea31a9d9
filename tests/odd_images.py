"""Writes one image file of each kind that decoders treat differently."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["COLOURS", "ODD_IMAGES", "write_odd_images"]

COLOURS = np.stack(
    [np.tile(np.arange(0, 240, 20), (8, 1)), np.full((8, 12), 90), np.tile(np.arange(8)[:, None] * 30, (1, 12))],
    axis=-1,
).astype(np.uint8)
"""(8, 12, 3): reds from left to right, blues from top to bottom."""


def _png(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def _jpeg(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, subsampling=0, **options)
    return file.getvalue()


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png16(pixels: np.ndarray) -> bytes:
    """A PNG with 16 bits for each channel, which Pillow cannot write in colour."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if channels == 1 else 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [_png_chunk(b"IHDR", header), _png_chunk(b"IDAT", zlib.compress(rows)), _png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _alpha() -> bytes:
    alpha = np.full((8, 12, 1), 255, np.uint8)
    alpha[:, :6] = 0
    return _png(Image.fromarray(np.concatenate([COLOURS, alpha], axis=-1)))


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    return _png(Image.fromarray(np.rot90(COLOURS).copy()), exif=exif)


def _palette() -> bytes:
    image = Image.fromarray(COLOURS).quantize(16)
    return _png(image, transparency=0)


def _profile() -> bytes:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return _png(Image.fromarray(COLOURS), icc_profile=profile)


def _animated() -> bytes:
    file = io.BytesIO()
    first = Image.fromarray(COLOURS)
    first.save(file, "PNG", save_all=True, append_images=[Image.fromarray(255 - COLOURS)])
    return file.getvalue()


def _truncated() -> bytes:
    whole = _jpeg(Image.fromarray(np.tile(COLOURS, (8, 8, 1))))
    return whole[: len(whole) // 2]


ODD_IMAGES: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "grey": ("png", lambda: _png(Image.fromarray(COLOURS[..., 0]))),
    "CMYK": ("jpg", lambda: _jpeg(Image.fromarray(COLOURS).convert("CMYK"))),
    "palette": ("png", _palette),
    "alpha": ("png", _alpha),
    "16 bits, grey": ("png", lambda: _png16(COLOURS[..., :1].astype(np.uint16) * 256 + 200)),
    "16 bits": ("png", lambda: _png16(COLOURS.astype(np.uint16) * 256 + 200)),
    "EXIF orientation": ("png", _turned),
    "ICC profile": ("png", _profile),
    "progressive": ("jpg", lambda: _jpeg(Image.fromarray(COLOURS), progressive=True)),
    "truncated": ("jpg", _truncated),
    "animated": ("png", _animated),
}
"""Kind → suffix, and the function that makes the bytes."""


def write_odd_images(folder: Path) -> dict[str, Path]:
    """Write one file of each kind; returns kind → file."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for kind, (suffix, make) in ODD_IMAGES.items():
        files[kind] = folder / f"{kind.replace(' ', '-').replace(',', '')}.{suffix}"
        files[kind].write_bytes(make())
    return files
