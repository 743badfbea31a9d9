"""A folder of images as a source: one subfolder per class, or unlabelled images directly in the folder."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError, UsageError
from quantlab.names import listed
from quantlab.preprocessing import described, opened_decoder, pipeline_for, refuse_absent_decoder, sample_of
from quantlab.samples.check import model_dtype
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
from quantlab.types import Pipeline, Preprocessing, TensorSpec

__all__ = ["SUFFIXES", "ImageFiles", "image_files", "open_images"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The image files of a folder, in order."""

    paths: list[Path]
    labels: Array | None
    classes: list[str]
    """Folder names in label order; empty if unlabelled."""


def open_images(folder: Path, *, text: str, inputs: Sequence[TensorSpec], preprocessing: Preprocessing) -> Source:
    """Open images in one folder per class, or unlabelled images in the folder itself.

    Class labels are the positions of the folders: in the order of `preprocessing.classes`, or else sorted numerically
    if all names are numbers, otherwise alphabetically; empty folders count. Within a class, files are sorted by name.
    What becomes of orientation, transparency and profiles depends on the decoder, see `docs/preprocessing.md`.

    Raises:
        SamplesError: If there are no images, the classes are ambiguous, or the model's input does not accept images.
        UsageError: If the preprocessing has an unknown name or contradicts itself, or names classes that are not the
            folders.
    """
    spec = only_input(inputs, text=text, kind="a folder of images")
    dtype = model_dtype(spec)
    pipeline = pipeline_for(preprocessing, spec)
    refuse_absent_decoder(pipeline)
    files = image_files(folder, text, preprocessing.classes)
    tensors = (
        HeldTensor(spec.name, (len(files.paths), *pipeline.shape), dtype if dtype.kind == "f" else np.dtype(np.int64)),
    )

    def read(indices: Array) -> Iterator[Block]:
        with opened_decoder(pipeline) as decode, ThreadPoolExecutor(os.cpu_count()) as pool:
            for piece in pieces(indices, block_rows(tensors)):
                samples = pool.map(lambda index: sample_of(pipeline, files.paths[index], decode), piece)
                yield {spec.name: np.stack(list(samples))}

    words = _words(pipeline, preprocessing, files.classes)
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


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def image_files(folder: Path, text: str, classes: Sequence[str] | None) -> ImageFiles:
    """The files that `open_images` reads; nothing is decoded.

    Raises:
        SamplesError: If there are none, or the classes are ambiguous.
        UsageError: If `classes` are not the folders.
    """
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
        return ImageFiles(straight, None, [])
    if not count:
        raise SamplesError(f"'{text}' holds no images ({', '.join(SUFFIXES)}){_deeper(folder)}")
    if classes is not None:
        names = [path.name for path in folders]
        order = [names.index(name) for name in checked_classes(classes, names, text)]
        folders, by_class = [folders[place] for place in order], [by_class[place] for place in order]
    else:
        _check_numbers([path.name for path in folders], text)
    labels = np.repeat(np.arange(len(by_class), dtype=np.int64), [len(paths) for paths in by_class])
    return ImageFiles([path for paths in by_class for path in paths], labels, [path.name for path in folders])


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


def _words(pipeline: Pipeline, asked: Preprocessing, classes: Sequence[str]) -> str:
    return described(pipeline, asked) + (f"; classes in the order {listed(classes)}" if classes else "")
