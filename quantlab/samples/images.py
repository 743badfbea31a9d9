"""A folder of images as a source: one subfolder per class, or unlabelled images directly in the folder."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError, UsageError
from quantlab.names import listed, nearest
from quantlab.samples.check import model_dtype, shown
from quantlab.samples.classes import checked_classes
from quantlab.samples.source import (
    Array,
    Block,
    HeldTensor,
    Source,
    block_rows,
    only_input,
    pieces,
)
from quantlab.types import Preprocessing, TensorSpec

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
RESIZES = {"nearest": "NEAREST", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "lanczos": "LANCZOS", "area": "BOX"}
"""Names of resampling filters → names in Pillow's `Image.Resampling`."""
CHANNELS = {"rgb": 3, "bgr": 3, "grey": 1}


@dataclass(frozen=True, slots=True)
class _Plan:
    """Decisions made before the first file is opened."""

    size: tuple[int, int]
    """Height and width in pixels."""
    colour: str
    resize: str
    shape: tuple[int, ...]
    """Shape of one sample: (H, W, C), or (H, W) for a model without a channel dimension."""
    table: Array
    """(256,): output value for each pixel value."""


@dataclass(frozen=True, slots=True)
class _Files:
    """The image files of a folder, in order."""

    paths: list[Path]
    labels: Array | None
    classes: list[str]
    """Folder names in label order; empty if unlabelled."""


def open_images(folder: Path, *, text: str, inputs: Sequence[TensorSpec], preprocessing: Preprocessing) -> Source:
    """Open images in one folder per class, or unlabelled images in the folder itself.

    Class labels are the positions of the folders: in the order of `preprocessing.classes`, or else sorted numerically
    if all names are numbers, otherwise alphabetically; empty folders count. Within a class, files are sorted by name.
    EXIF orientation is applied, and transparency is dropped.

    Raises:
        SamplesError: If there are no images, the classes are ambiguous, or the model's input does not accept images.
        UsageError: If the preprocessing names an unknown resampling filter or colour order, or classes that are not
            the folders.
    """
    spec = only_input(inputs, text=text, kind="a folder of images")
    plan = _plan(spec, preprocessing)
    files = _find(folder, text, preprocessing.classes)
    tensors = (HeldTensor(spec.name, (len(files.paths), *plan.shape), plan.table.dtype),)

    def read(indices: Array) -> Iterator[Block]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for piece in pieces(indices, block_rows(tensors)):
                samples = pool.map(lambda index: _sample(files.paths[index], plan), piece)
                yield {spec.name: np.stack(list(samples))}

    words = _words(plan, preprocessing, files.classes)
    return Source(
        text=text,
        n=len(files.paths),
        tensors=tensors,
        labels=files.labels,
        read=read,
        preprocessing=words,
        files=tuple(path.relative_to(folder).as_posix() for path in files.paths),
        classes=tuple(files.classes),
    )


def _plan(spec: TensorSpec, preprocessing: Preprocessing) -> _Plan:
    if preprocessing.resize not in RESIZES:
        raise UsageError(
            f"there is no resampling filter '{preprocessing.resize}'; {nearest(preprocessing.resize, RESIZES)}"
        )
    channels = _channels(spec)
    colour = _colour(spec, preprocessing.colour, channels)
    size = _size(spec, preprocessing.size)
    shape = size if channels is None else (*size, channels)
    return _Plan(size, colour, preprocessing.resize, shape, _table(spec, preprocessing))


def _channels(spec: TensorSpec) -> int | None:
    """1 or 3, or None for an input of shape (height, width)."""
    shape = spec.shape[1:]
    if len(shape) == 2:
        return None
    if len(shape) == 3 and shape[-1] in (1, 3):
        return shape[-1]
    first = ", with channels first" if len(shape) == 3 and shape[0] in (1, 3) else ""
    raise SamplesError(
        f"images become samples of shape (height, width, 1 or 3), but the input '{spec.name}' expects "
        f"{shown(shape)}{first}; give the samples as arrays in a .npz file"
    )


def _colour(spec: TensorSpec, asked: str, channels: int | None) -> str:
    if asked == "auto":
        return "rgb" if channels == 3 else "grey"
    if asked not in CHANNELS:
        raise UsageError(f"there is no colour order '{asked}'; {nearest(asked, [*CHANNELS, 'auto'])}")
    if CHANNELS[asked] != (channels or 1):
        raise SamplesError(
            f"the colour order '{asked}' gives {CHANNELS[asked]} channels, but the input '{spec.name}' expects "
            f"{shown(spec.shape[1:])}; leave it at 'auto'"
        )
    return asked


def _size(spec: TensorSpec, asked: tuple[int, int] | None) -> tuple[int, int]:
    wanted = spec.shape[1:3]
    height, width = (asked or wanted)[:2]
    if height is None or width is None:
        raise SamplesError(
            f"the input '{spec.name}' accepts images of any size, {shown(spec.shape[1:])}; "
            "give the height and width to resize to in the preprocessing"
        )
    if wanted[0] not in (None, height) or wanted[1] not in (None, width):
        raise SamplesError(
            f"the preprocessing makes images of {height}×{width}, but the input '{spec.name}' expects "
            f"{shown(spec.shape[1:])}; leave the size out to use the model's input size"
        )
    return height, width


def _table(spec: TensorSpec, preprocessing: Preprocessing) -> Array:
    """Output value for each of the 256 pixel values, computed in float64, then in the model's data type if float."""
    values = np.arange(256, dtype=np.float64) * preprocessing.scale + preprocessing.offset
    dtype = model_dtype(spec)
    if dtype.kind == "f":
        return values.astype(dtype)
    if (values != np.rint(values)).any():
        raise SamplesError(
            f"the input '{spec.name}' expects {dtype.name}, but scale {preprocessing.scale!r} and offset "
            f"{preprocessing.offset!r} give fractional values; give whole numbers"
        )
    return values.astype(np.int64)


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def _find(folder: Path, text: str, classes: Sequence[str] | None) -> _Files:
    straight = _images(folder)
    folders = _ordered([path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")])
    by_class = [_images(path) for path in folders]
    count = sum(map(len, by_class))
    if straight and count:
        raise SamplesError(
            f"'{text}' holds {len(straight):,} images directly and {count:,} in subfolders, so their classes are "
            "ambiguous; move the former into class folders, or remove them"
        )
    if straight:
        if classes is not None:
            raise UsageError(f"classes are named, and '{text}' holds images without class folders; leave --classes out")
        return _Files(straight, None, [])
    if not count:
        raise SamplesError(f"'{text}' holds no images ({', '.join(SUFFIXES)}){_deeper(folder)}")
    if classes is not None:
        names = [path.name for path in folders]
        order = [names.index(name) for name in checked_classes(classes, names, text)]
        folders, by_class = [folders[place] for place in order], [by_class[place] for place in order]
    else:
        _check_numbers([path.name for path in folders], text)
    labels = np.repeat(np.arange(len(by_class), dtype=np.int64), [len(paths) for paths in by_class])
    return _Files([path for paths in by_class for path in paths], labels, [path.name for path in folders])


def _deeper(folder: Path) -> str:
    """Continuation of the message for a folder without images at the expected depth."""
    image = next((path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES), None)
    if image is None:
        return "; give a folder with one folder of images for each class"
    return f" in subfolders, but '{image.relative_to(folder)}'; give the folder that directly holds the class folders"


def _numbered(names: Sequence[str]) -> bool:
    return all(name.isdecimal() for name in names)


def _ordered(folders: list[Path]) -> list[Path]:
    if _numbered([path.name for path in folders]):
        return sorted(folders, key=lambda path: (int(path.name), path.name))
    return sorted(folders, key=lambda path: path.name)


def _check_numbers(names: Sequence[str], text: str) -> None:
    """Refuse numbers with gaps: a missing class folder would silently shift the labels of all following classes."""
    if not _numbered(names):
        return
    for before, after in pairwise(names):
        if int(after) != int(before) + 1:
            raise SamplesError(
                f"the class folders of '{text}' are numbers, and '{before}' is followed by '{after}'; "
                "add an empty folder for every class without images, so that the labels are correct"
            )


def _sample(path: Path, plan: _Plan) -> Array:
    """Decode one file to (H, W, C) or (H, W).

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
            image = ImageOps.exif_transpose(opened).convert("L" if plan.colour == "grey" else "RGB")
    except UnidentifiedImageError as error:
        raise SamplesError(f"the image '{path}' has no format that Pillow can read; repair or remove it") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SamplesError(f"the image '{path}' cannot be decoded ({error}); repair or remove it") from error
    height, width = plan.size
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling[RESIZES[plan.resize]])
    pixels = np.asarray(image)
    sample: Array = plan.table[pixels[..., ::-1] if plan.colour == "bgr" else pixels]
    return sample.reshape(plan.shape)


def _words(plan: _Plan, preprocessing: Preprocessing, classes: Sequence[str]) -> str:
    height, width = plan.size
    values = "0–255 unchanged"
    if (preprocessing.scale, preprocessing.offset) != (1.0, 0.0):
        sign = "−" if preprocessing.offset < 0 else "+"
        values = f"0–255 × {preprocessing.scale!r} {sign} {abs(preprocessing.offset)!r}"
    order = f"; classes in the order {listed(classes)}" if classes else ""
    return f"{plan.colour} {height}×{width}, Pillow's {plan.resize} for files of another size; values {values}{order}"
