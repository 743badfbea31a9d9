"""Arrays of another program, read in blocks: outputs and tensors of many samples need not fit into memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.npy import mapped
from quantlab.samples import PackedArray

__all__ = ["Rows", "rows_of_npy", "rows_of_npz", "write_rows"]

Array = npt.NDArray[Any]
_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """An array of which blocks of rows are read in order."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    blocks: Callable[[], Iterator[Array]]
    """Yields all rows; each call begins with the first one."""

    def reshaped(self, sizes: tuple[int, ...]) -> "Rows":
        """The same values with another shape of each row."""

        def blocks() -> Iterator[Array]:
            return (block.reshape(len(block), *sizes) for block in self.blocks())

        return Rows((self.shape[0], *sizes), self.dtype, blocks)

    def decoded(self, dtype: np.dtype[Any], decode: Callable[[Array], Array]) -> "Rows":
        """The values of a function of each block, in a data type."""

        def blocks() -> Iterator[Array]:
            return (np.asarray(decode(block), dtype) for block in self.blocks())

        return Rows(self.shape, dtype, blocks)

    def chosen(self, places: npt.NDArray[np.int64]) -> "Rows":
        """Some rows, by their ascending places."""

        def blocks() -> Iterator[Array]:
            start = 0
            for block in self.blocks():
                wanted = places[np.searchsorted(places, start) : np.searchsorted(places, start + len(block))] - start
                start += len(block)
                if len(wanted):
                    yield block[wanted]

        return Rows((len(places), *self.shape[1:]), self.dtype, blocks)

    def whole(self) -> Array:
        """All rows at once."""
        return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *self.blocks()])


def rows_of_npy(path: Path) -> Rows:
    """The rows of a `.npy` file; raises as `mapped`."""
    array = mapped(path)
    if array.dtype.hasobject:
        raise ValueError("it holds Python objects, which are never unpickled")
    shape = array.shape
    step = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes)) if shape else 1

    def blocks() -> Iterator[Array]:
        for start in range(0, shape[0], step):
            # Mapped again for each block: pages that were read stay in memory as long as the mapping exists.
            yield np.array(mapped(path)[start : start + step])

    return Rows(shape, array.dtype, blocks)


def rows_of_npz(packed: PackedArray) -> Rows:
    """The rows of an array in a `.npz` file."""
    return Rows(packed.shape, packed.dtype, packed.blocks)


def write_rows(file: Path, rows: Rows, dtype: npt.DTypeLike) -> None:
    """Write a little-endian `.npy` file."""
    kind = np.dtype(dtype).newbyteorder("<")
    with file.open("wb") as written:
        header = {"descr": kind.str, "fortran_order": False, "shape": rows.shape}
        np.lib.format.write_array_header_1_0(written, header)  # type: ignore[no-untyped-call]  # NumPy has no type for it
        for block in rows.blocks():
            written.write(np.ascontiguousarray(block, kind).reshape(-1).view(np.uint8).data)
