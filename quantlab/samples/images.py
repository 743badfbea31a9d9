"""A folder of images as a source: one subfolder per class, or unlabelled images directly in the folder."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
from quantlab.samples.stored import made_of, recipe
from quantlab.samples.tables import format_of
from quantlab.types import ImageBytes, Pipeline, Preprocessing, TensorSpec

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

    contents = _Contents(files.paths, recipe([pipeline], spec))

    def read(indices: Array) -> Iterator[Block]:
        with opened_decoder(pipeline) as decode, ThreadPoolExecutor(os.cpu_count()) as pool:
            for piece in pieces(indices, block_rows(tensors)):
                samples = pool.map(lambda index: sample_of(pipeline, contents.image(index), decode), piece.tolist())
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
        made_of=contents.made_of if contents.how is not None else None,
    )


class _Contents:
    """The bytes of files, with a hash of each that must be the same whenever a file is read."""

    def __init__(self, paths: Sequence[Path], how: bytes | None) -> None:
        self._paths, self.how = paths, how
        self._hashes = np.zeros((len(paths), 2), np.uint64)
        self._hashed = np.zeros(len(paths), np.bool_)

    def image(self, index: int) -> Path | ImageBytes:
        """A file, to be decoded; the path of one that cannot be read, which the decoder reports.

        Raises:
            SamplesError: If it has other bytes than before.
        """
        path = self._paths[index]
        try:
            content = path.read_bytes()
        except OSError:
            return path
        digest = made_of(self.how or b"", content)
        if self._hashed[index] and (self._hashes[index] != digest).any():
            raise SamplesError(
                f"the image '{path}' changed while it was read, but every runtime must be fed the same samples; run "
                f"the command again when nothing writes to it"
            )
        self._hashes[index], self._hashed[index] = digest, True
        return ImageBytes(path, content)

    def made_of(self, indices: Array) -> NDArray[np.uint64]:
        """See `Source.made_of`; files that were not read yet are read."""
        for index in indices[~self._hashed[indices]].tolist():
            self.image(index)
        hashes, unreadable = self._hashes[indices], ~self._hashed[indices]
        hashes[unreadable] = np.frombuffer(os.urandom(hashes[unreadable].nbytes), np.uint64).reshape(-1, 2)  # like none
        return hashes


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
    image = _first_image(folder)
    if image is None:
        return f"; give a folder with one folder of images for each class{_or_records(folder)}"
    return f" in subfolders, but '{image.relative_to(folder)}'; give the folder that directly holds the class folders"


def _or_records(folder: Path) -> str:
    """How to name the files of records that lie in a folder without images; empty if there are none."""
    endings: Counter[str] = Counter()
    for path in folder.iterdir():
        name, kind = path.name.lower(), format_of(path.name)
        if kind is not None and path.is_file():
            suffix = next(one for one in kind.suffixes if one in name)
            endings[suffix if name.endswith(suffix) else f"{suffix}*"] += 1
    if not endings:
        return ""
    (ending, _), *_ = endings.most_common(1)
    return f", or name the files in this one by a pattern in quotes: '{folder}/*{ending}'"


def _first_image(folder: Path) -> Path | None:
    """An image at any depth; folders that cannot be read, or that vanish meanwhile, are passed over."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        name = next((name for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES), None)
        if name is not None:
            return Path(place, name)
    return None


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
