"""The files of a sample set while they are written."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from quantlab.samples.check import model_dtype
from quantlab.samples.duplicates import Fingerprints, PlacedFingerprints
from quantlab.samples.hashes import intact_samples, labels_sha256, set_sha256
from quantlab.samples.origins import FILES, INDICES, origins_sha256
from quantlab.samples.source import Array, Block, Source, raw_bytes
from quantlab.samples.stored import MADE_OF, TENSORS, record_made_of
from quantlab.samples.subset import Part
from quantlab.samples.truth import save_labels
from quantlab.types import FewSamples, SampleSet, TensorSpec

__all__ = ["OpenTensors", "SetFiles", "TensorFile", "Tensors", "WholeTensors"]

_READ_BYTES = 4 * 2**20


class TensorFile:
    """A `.npy` file whose samples are written to their places, in any order, and the hash of its data."""

    def __init__(self, path: Path, spec: TensorSpec, n: int) -> None:
        self._digest = hashlib.sha256()
        self._about = [spec.name, spec.dtype, [n, *spec.shape[1:]]]
        self._file = path.open("w+b", buffering=0)
        header = {"descr": model_dtype(spec).str, "fortran_order": False, "shape": (n, *spec.shape[1:])}
        np.lib.format.write_array_header_1_0(self._file, header)  # type: ignore[no-untyped-call]  # NumPy has no type for it
        self._begin = self._file.tell()
        self._size = 0
        self._hashed = 0
        """Bytes from the beginning of the data that were hashed when they were written."""

    def add(self, values: Array, places: Array) -> None:
        """Write samples, each to its place; places that follow one another are written at once."""
        edges = [0, *(np.flatnonzero(np.diff(places) != 1) + 1), len(places)]
        for start, stop in pairwise(edges):
            if start < stop:
                self._write(raw_bytes(values[start:stop]), int(places[start]), stop - start)

    def _write(self, data: memoryview, place: int, count: int) -> None:
        # Not memory-mapped: a full disk then raises an error instead of killing the process with a signal.
        offset = place * (len(data) // count)
        if offset == self._hashed:
            self._digest.update(data)
            self._hashed += len(data)
        self._size += len(data)
        while data:
            try:
                written = os.pwrite(self._file.fileno(), data, self._begin + offset)
            except OSError as error:  # which names no file
                raise OSError(error.errno, error.strerror, str(self._file.name)) from error
            data, offset = data[written:], offset + written

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def identity(self) -> list[object]:
        """What is known of the tensor, its hash among it."""
        return [*self._about, self.sha256()]

    def sha256(self) -> str:
        """Hash of the data; what was not written in order is read again."""
        self._file.seek(self._begin + self._hashed)
        while self._hashed < self._size:
            data = self._file.read(min(_READ_BYTES, self._size - self._hashed))
            self._digest.update(data)
            self._hashed += len(data)
        return self._digest.hexdigest()


class Tensors(Protocol):
    """Where the inputs of a set are written."""

    def add(self, block: Block, places: Array) -> None:
        """Write samples, each to its place."""

    def identity(self) -> list[object]:
        """What is known of each tensor, see `TensorFile.identity`; all samples were written."""

    def close(self) -> None:
        """Close all files."""

    @property
    def few(self) -> FewSamples | None:
        """The samples that are kept, once all were written; None if all are."""


OpenTensors = Callable[[SampleSet, Array | None], Tensors]
"""Function that opens the files of a set, which is given with its labels."""


class WholeTensors:
    """A file for each input, with all samples."""

    few = None

    def __init__(self, samples: SampleSet, _labels: Array | None) -> None:
        self._files = {spec.name: TensorFile(samples.input_file(spec.name), spec, samples.n) for spec in samples.inputs}

    def add(self, block: Block, places: Array) -> None:
        """See `Tensors`."""
        for name, values in block.items():
            self._files[name].add(values, places)

    def identity(self) -> list[object]:
        """See `Tensors`."""
        return [file.identity() for file in self._files.values()]

    def close(self) -> None:
        """See `Tensors`."""
        for file in self._files.values():
            file.close()


class SetFiles:
    """The files of one part while they are written."""

    def __init__(
        self,
        part: Part,
        source: Source,
        inputs: Sequence[TensorSpec],
        *,
        folder: Path,
        most_images: int,
        tensors: OpenTensors,
    ) -> None:
        self._labels = None if source.labels is None else source.labels[part.indices]
        self._made_of = source.made_of
        self._compared = len(part.indices) <= most_images
        self.part = part
        self._order = np.argsort(part.indices)
        self._ascending = part.indices[self._order]
        self._fingerprints = PlacedFingerprints(len(part.indices))
        self._names = [source.files[index] for index in part.indices] if source.files else []
        self.samples = SampleSet(
            folder=folder,
            inputs=tuple(inputs),
            n=len(part.indices),
            labelled=self._labels is not None,
            sha256="",
            source=source.text,
            available=source.n,
            drawn=part.drawn,
            preprocessing=source.preprocessing,
            classes=source.classes,
        )
        folder.mkdir()
        self.tensors = tensors(self.samples, self._labels)

    def add(self, block: Block, indices: Array, beside: Executor) -> None:
        """Write the samples of a block that belong to this part.

        Args:
            block: Samples in the data types of the model.
            indices: Their positions in the source.
            beside: Hashes single samples while the tensors are hashed and written.
        """
        nearest = np.minimum(np.searchsorted(self._ascending, indices), self.samples.n - 1)
        mine = self._ascending[nearest] == indices
        if not mine.any():
            return
        places = self._order[nearest[mine]]
        own = block if mine.all() else {name: values[mine] for name, values in block.items()}
        fingerprints = beside.submit(Fingerprints.of, own, self.samples.inputs, compared=self._compared)
        self.tensors.add(own, places)
        self._fingerprints.put(places, fingerprints.result())

    @property
    def fingerprints(self) -> Fingerprints:
        """Those of all samples, once they were written."""
        return self._fingerprints.whole

    def close(self) -> None:
        """Close all files."""
        self.tensors.close()

    def finish(self, folder: Path, warn: Callable[[str], None]) -> SampleSet:
        """Add labels and indices, and move everything to its final place under `folder`, unless it exists already."""
        tensors = self.tensors.identity()
        sha256 = set_sha256(tensors, self._labels)
        few = self.tensors.few
        self.close()
        if self._made_of is not None and few is None:
            ascending = self._made_of(self._ascending)
            record_made_of(self.samples.folder, ascending[np.argsort(self._order)], tensors)
        np.save(self.samples.folder / INDICES, self.part.indices.astype("<i8"))
        if self._names:
            # A file name may hold bytes that are no text; JSON's escapes keep them.
            (self.samples.folder / FILES).write_text(json.dumps(self._names), encoding="utf-8")
        if self._labels is not None:
            self.samples = save_labels(self.samples, self._labels)
        place = folder / sha256[:12]
        final = replace(
            self.samples,
            folder=place,
            sha256=sha256,
            few=few,
            labels_sha256=labels_sha256(self._labels),
            origins_sha256=origins_sha256(self.samples.folder),
        )
        _move(self.samples.folder, final, warn)
        return final


def _move(folder: Path, samples: SampleSet, warn: Callable[[str], None]) -> None:
    """Move a set to its final place, unless the same bytes are there already; a damaged set is replaced.

    Of equal bytes, what is known of their origin is that of the last source: files may have been renamed since.
    """
    place = samples.folder
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and samples.few_folder.is_dir() != (samples.few is not None):  # all were kept, or few
        shutil.rmtree(place)
    elif place.is_dir() and (state := intact_samples(samples)) != "intact":
        what = "are damaged" if state == "damaged" else "lack a file"
        warn(f"the samples in '{place}' {what}, so they are written again")
        shutil.rmtree(place)
    try:
        folder.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        for name in (INDICES, FILES, MADE_OF, TENSORS):
            _renew(folder / name, place / name)


def _renew(file: Path, kept: Path) -> None:
    """Replace a kept file by another, unless they are equal; without another, remove it."""
    if not file.exists():
        kept.unlink(missing_ok=True)
    elif not kept.exists() or file.read_bytes() != kept.read_bytes():
        file.replace(kept)
