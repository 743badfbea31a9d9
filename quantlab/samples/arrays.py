"""Sources of arrays in files: `.npz`, streamed member by member, and `.npy`, mapped."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.npy import mapped
from quantlab.samples.labels import read_labels, to_labels
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
from quantlab.types import TensorSpec

_HEADERS: dict[tuple[int, int], Callable[[Any], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class _Member:
    """An array inside a `.npz` file, read from its beginning in blocks of samples.

    Raises:
        ValueError: If the header is none of NumPy's, or the array holds Python objects.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._file = archive.open(f"{name}.npy")
        version = np.lib.format.read_magic(self._file)  # type: ignore[no-untyped-call]  # NumPy has no type for it
        if version not in _HEADERS:
            raise ValueError(f"the array '{name}' has a header of version {version}, and 1 and 2 are known")
        self.shape, fortran, self.dtype = _HEADERS[version](self._file)
        if self.dtype.hasobject:
            raise ValueError(f"the array '{name}' holds Python objects, which are never unpickled")
        # Fortran order lays the samples' values apart, so that only the whole array has samples.
        self._columns = self._read(self.shape[::-1]).T if fortran and len(self.shape) > 1 else None

    def _read(self, shape: tuple[int, ...]) -> Array:
        count = int(np.prod(shape, dtype=np.int64))
        data = self._file.read(count * self.dtype.itemsize)
        return np.frombuffer(data, dtype=self.dtype, count=count).reshape(shape)

    def rows(self, start: int, stop: int) -> Array:
        """Samples start to stop; the next call must begin at this one's stop."""
        if self._columns is not None:
            return self._columns[start:stop]
        return self._read((stop - start, *self.shape[1:]))

    def whole(self) -> Array:
        return self._columns if self._columns is not None else self._read(self.shape)

    def close(self) -> None:
        self._file.close()


_NPZ_REMEDY = "it is truncated or not of plain arrays, so write it again with numpy.savez"


def open_npz(path: Path, *, text: str, inputs: Sequence[TensorSpec]) -> Source:
    """Arrays named for the model's inputs, or `x` for a single one; labels in `y` or `labels`.

    Raises:
        SamplesError: If the file is broken, holds other names, or its arrays disagree in length.
    """
    with reading(f"'{text}'", SamplesError, _NPZ_REMEDY), zipfile.ZipFile(path) as archive:
        held = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        names = match_names(held, inputs, text=text)
        members = {name: _Member(archive, names.inputs[name]) for name in names.inputs}
        raw = _Member(archive, names.labels).whole() if names.labels else None
    tensors = tuple(HeldTensor(name, member.shape, member.dtype) for name, member in members.items())
    n = sample_count(tensors, text=text)
    labels = None if raw is None else to_labels(raw, n=n, text=text)

    def read(indices: Array) -> Iterator[Block]:
        return _read_npz(path, names.inputs, indices=indices, text=text, tensors=tensors)

    return Source(text=text, n=n, tensors=tensors, labels=labels, read=read)


def _read_npz(
    path: Path, names: dict[str, str], *, indices: Array, text: str, tensors: Sequence[HeldTensor]
) -> Iterator[Block]:
    """Go once through every input's member side by side, and keep of each block what was asked for."""
    rows, end = block_rows(tensors), int(indices[-1]) + 1
    with reading(f"'{text}'", SamplesError, _NPZ_REMEDY), ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(path))
        members = {name: _Member(archive, held) for name, held in names.items()}
        for member in members.values():
            stack.callback(member.close)
        for start in range(0, end, rows):
            stop = min(start + rows, end)
            block = {name: member.rows(start, stop) for name, member in members.items()}
            wanted = indices[np.searchsorted(indices, start) : np.searchsorted(indices, stop)] - start
            if len(wanted):
                yield {name: values[wanted] for name, values in block.items()}


def open_npy(path: Path, *, text: str, inputs: Sequence[TensorSpec]) -> Source:
    """One array for the model's one input, mapped; labels in `<stem>.labels.npy` or `<stem>_labels.npy` beside it.

    Raises:
        SamplesError: If the file is broken, or the model takes several inputs.
    """
    spec = only_input(inputs, text=text, kind="a .npy file")
    with reading(f"'{text}'", SamplesError, "it is truncated or not a plain array, so write it again with numpy.save"):
        array = mapped(path)
    tensors = (HeldTensor(spec.name, array.shape, array.dtype),)
    n = sample_count(tensors, text=text)
    beside = [path.with_name(f"{path.stem}{ending}.npy") for ending in (".labels", "_labels")]
    labels_file = next((file for file in beside if file.exists()), None)
    labels = to_labels(read_labels(labels_file), n=n, text=text) if labels_file else None

    def read(indices: Array) -> Iterator[Block]:
        for piece in pieces(indices, block_rows(tensors)):
            # Mapped anew for each block: pages of a mapping that was read stay in memory as long as it lives.
            yield {spec.name: mapped(path)[piece]}

    return Source(text=text, n=n, tensors=tensors, labels=labels, read=read)
