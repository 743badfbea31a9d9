"""Sources for array files: `.npz`, streamed one member at a time, and `.npy`, memory-mapped."""

import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.npy import mapped
from quantlab.samples.labels import read_labels, to_labels
from quantlab.samples.shards import local_shard
from quantlab.samples.source import (
    Array,
    Block,
    HeldTensor,
    Source,
    block_rows,
    match_names,
    only_input,
    pieces,
    sample_count,
)
from quantlab.samples.truth import OFFSETS, ragged_labels
from quantlab.types import TensorSpec

_HEADERS: dict[tuple[int, int], Callable[[Any], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


_MOST_GROWTH, _SMALL_BYTES = 4, 64 << 20
"""An array that is read at once may take so many times its packed size, and so many bytes, of memory."""


class _Member:
    """An array inside a `.npz` file, read sequentially in blocks of samples until `stack` closes it.

    Raises:
        ValueError: If the header has an unknown version or a shape that is none, or the array holds Python objects.
    """

    def __init__(self, stack: ExitStack, archive: zipfile.ZipFile, name: str) -> None:
        self._name, self._file = name, stack.enter_context(archive.open(f"{name}.npy"))
        self._most_bytes = _MOST_GROWTH * archive.getinfo(f"{name}.npy").compress_size + _SMALL_BYTES
        version = np.lib.format.read_magic(self._file)  # type: ignore[no-untyped-call]  # NumPy has no type for it
        if version not in _HEADERS:
            raise ValueError(f"the array '{name}' has a header of version {version}, and only 1 and 2 are supported")
        self.shape, fortran, self.dtype = _HEADERS[version](self._file)
        if any(size < 0 for size in self.shape):
            raise ValueError(f"the array '{name}' has the shape {self.shape} in its header")
        if self.dtype.hasobject:
            raise ValueError(f"the array '{name}' holds Python objects, which are never unpickled")
        # In Fortran order the values of a sample are not contiguous, so the whole array must be read.
        self._columns = self._read_whole(self.shape[::-1]).T if fortran and len(self.shape) > 1 else None

    def _read(self, shape: tuple[int, ...]) -> Array:
        count = math.prod(shape)
        data = self._file.read(count * self.dtype.itemsize)
        return np.frombuffer(data, dtype=self.dtype, count=count).reshape(shape)

    def _read_whole(self, shape: tuple[int, ...]) -> Array:
        size = math.prod(shape) * self.dtype.itemsize
        if size > self._most_bytes:
            raise ValueError(
                f"the array '{self._name}' would take {size / 1e6:,.0f} MB of memory, many times its part of the file"
            )
        return self._read(shape)

    def rows(self, start: int, stop: int) -> Array:
        """Samples from `start` up to, not including, `stop`; each call must start where the previous one stopped."""
        if self._columns is not None:
            return self._columns[start:stop]
        return self._read((stop - start, *self.shape[1:]))

    def whole(self) -> Array:
        return self._columns if self._columns is not None else self._read_whole(self.shape)


@dataclass(frozen=True, slots=True)
class _Written:
    """A file as it was when its labels were read, with which its samples must agree."""

    path: Path
    text: str
    """The file, for messages."""
    state: tuple[int, int]

    @classmethod
    def of(cls, path: Path, text: str) -> Self:
        return cls(path, text, _state_of(path))

    def while_read(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The blocks of the file, which is not written before the last one was read.

        Raises:
            SamplesError: If it was.
        """
        self._check()
        yield from blocks
        self._check()

    def _check(self) -> None:
        with reading(f"'{self.text}'", SamplesError, "give a file that stays there"):
            state = _state_of(self.path)
        if state != self.state:
            raise local_shard(self.path, self.text).changed()


def _state_of(path: Path) -> tuple[int, int]:
    """What changes when a file is written; its inode is not, since some network file systems number files anew."""
    told = path.stat()
    return told.st_size, told.st_mtime_ns


_NPZ_REMEDY = "it is truncated or does not hold plain arrays, so write it again with numpy.savez"


def open_npz(path: Path, *, text: str, inputs: Sequence[TensorSpec]) -> Source:
    """Open a `.npz` file: arrays are named after the model's inputs, or `x` for a single input; labels `y` or `labels`.

    With `y_offsets`, (n + 1,) integers, the labels of sample i are `y[y_offsets[i]:y_offsets[i + 1]]`.

    Raises:
        SamplesError: If the file is damaged, contains other names, or its arrays differ in length.
    """
    with reading(f"'{text}'", SamplesError, _NPZ_REMEDY), ExitStack() as stack:
        written = _Written.of(path, text)
        archive = stack.enter_context(zipfile.ZipFile(path))
        held = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        names = match_names(held, inputs, text=text)
        members = {name: _Member(stack, archive, names.inputs[name]) for name in names.inputs}
        raw = _Member(stack, archive, names.labels).whole() if names.labels else None
        begins = f"{names.labels}{OFFSETS}"
        offsets = _Member(stack, archive, begins).whole() if begins in held else None
    tensors = tuple(HeldTensor(name, member.shape, member.dtype) for name, member in members.items())
    n = sample_count(tensors, text=text)
    if raw is not None:
        raw = to_labels(raw if offsets is None else ragged_labels(raw, offsets, n=n, text=text), n=n, text=text)

    def read(indices: Array) -> Iterator[Block]:
        return written.while_read(_read_npz(path, names.inputs, indices=indices, text=text, tensors=tensors))

    return Source(text=text, n=n, tensors=tensors, labels=raw, read=read)


def _read_npz(
    path: Path, names: dict[str, str], *, indices: Array, text: str, tensors: Sequence[HeldTensor]
) -> Iterator[Block]:
    """Read all members once in parallel, and yield from each block the requested samples."""
    rows, end = block_rows(tensors), int(indices[-1]) + 1
    with reading(f"'{text}'", SamplesError, _NPZ_REMEDY), ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(path))
        members = {name: _Member(stack, archive, held) for name, held in names.items()}
        for start in range(0, end, rows):
            stop = min(start + rows, end)
            block = {name: member.rows(start, stop) for name, member in members.items()}
            wanted = indices[np.searchsorted(indices, start) : np.searchsorted(indices, stop)] - start
            if len(wanted):
                yield {name: values[wanted] for name, values in block.items()}


def open_npy(path: Path, *, text: str, inputs: Sequence[TensorSpec]) -> Source:
    """Open a `.npy` file with one array for a single input; labels in `<stem>.labels.npy` or `<stem>_labels.npy`.

    Raises:
        SamplesError: If the file is damaged, or the model has several inputs.
    """
    spec = only_input(inputs, text=text, kind="a .npy file")
    with reading(f"'{text}'", SamplesError, "it is truncated or not a plain array, so write it again with numpy.save"):
        written = _Written.of(path, text)
        array = mapped(path)
    tensors = (HeldTensor(spec.name, array.shape, array.dtype),)
    n = sample_count(tensors, text=text)
    beside = [path.with_name(f"{path.stem}{ending}.npy") for ending in (".labels", "_labels")]
    labels_file = next((file for file in beside if file.exists()), None)
    labels = to_labels(read_labels(labels_file), n=n, text=text) if labels_file else None

    def blocks(indices: Array) -> Iterator[Block]:
        for piece in pieces(indices, block_rows(tensors)):
            # Map again for each block: pages that were read stay in memory as long as the mapping exists.
            yield {spec.name: mapped(path)[piece]}

    def read(indices: Array) -> Iterator[Block]:
        return written.while_read(blocks(indices))

    return Source(text=text, n=n, tensors=tensors, labels=labels, read=read)


def names_of_npz(path: Path, *, text: str) -> list[str]:
    """Names of the arrays of a `.npz` file.

    Raises:
        SamplesError: If the file is damaged.
    """
    with reading(f"'{text}'", SamplesError, _NPZ_REMEDY), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def array_of_npz(path: Path, name: str, *, text: str) -> Array:
    """One array of a `.npz` file as a whole, such as one about the samples.

    Raises:
        SamplesError: If the file is damaged, or the array is too large for its part of the file.
    """
    with reading(f"'{text}'", SamplesError, _NPZ_REMEDY), ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(path))
        return _Member(stack, archive, name).whole()


@dataclass(frozen=True, slots=True)
class PackedArray:
    """An array of a `.npz` file, which is read in blocks, so that memory does not grow with its length."""

    path: Path
    name: str
    text: str
    """The file, for messages."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def blocks(self) -> Iterator[Array]:
        """Yield all rows in order, in blocks of some megabytes; an array in Fortran order is one block.

        Raises:
            SamplesError: If the file is damaged.
        """
        step = block_rows([HeldTensor(self.name, self.shape, self.dtype)])
        with reading(f"'{self.text}'", SamplesError, _NPZ_REMEDY), ExitStack() as stack:
            member = _Member(stack, stack.enter_context(zipfile.ZipFile(self.path)), self.name)
            for start in range(0, self.shape[0], step):
                yield member.rows(start, min(start + step, self.shape[0]))


def packed_array(path: Path, name: str, *, text: str) -> PackedArray:
    """An array of a `.npz` file, of which only the header is read.

    Raises:
        SamplesError: If the file is damaged, or the array has no header that NumPy writes.
    """
    with reading(f"'{text}'", SamplesError, _NPZ_REMEDY), ExitStack() as stack:
        member = _Member(stack, stack.enter_context(zipfile.ZipFile(path)), name)
        return PackedArray(path, name, text, member.shape, member.dtype)
