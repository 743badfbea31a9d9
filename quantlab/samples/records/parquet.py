"""Parquet files: each row is a sample; columns are numbers, nested lists of them, texts, or the bytes of images."""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from quantlab.samples.records.contract import Record, RecordFormat

__all__ = ["PARQUET"]

_ROWS = 64
"""Rows that are held at once."""
_BUFFER_BYTES = 1 << 20
"""A column is read in pieces of this size, whatever the size of a row group is."""


def _scan(stream: BinaryIO, names: Sequence[str]) -> Iterator[tuple[int, Record]]:
    file = _opened(stream)
    yield from enumerate(_rows(file, names, range(file.num_row_groups)))


def _pick(stream: BinaryIO, places: Sequence[int], names: Sequence[str]) -> Iterator[Record]:
    file = _opened(stream)
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    ends = np.cumsum(sizes)
    groups = np.searchsorted(ends, places, side="right")
    for group in dict.fromkeys(groups.tolist()):
        begin = int(ends[group]) - sizes[group]
        first, last = np.searchsorted(groups, (group, group + 1))  # ascending, as places are
        wanted = {place - begin for place in places[first:last]}
        yield from _rows(file, names, [group], wanted)


def _opened(stream: BinaryIO) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)


def _rows(file: Any, names: Sequence[str], groups: Sequence[int], wanted: set[int] | None = None) -> Iterator[Record]:
    """Rows of some row groups; without `wanted`, all of them."""
    held = file.schema_arrow.names
    # A name with a dot is a value inside of a column, unless a column has that name.
    columns = [name for name in held if any(one == name or one.startswith(f"{name}.") for one in names)] or held
    first = 0
    for batch in file.iter_batches(batch_size=_ROWS, row_groups=list(groups), columns=columns, use_threads=False):
        for row in range(batch.num_rows):
            if wanted is None or first + row in wanted:
                yield {name: _value(batch.column(place)[row]) for place, name in enumerate(batch.schema.names)}
        first += batch.num_rows


def _value(scalar: Any) -> Any:
    """A value as Python has it; lists of numbers as an array of their data type.

    Raises:
        ValueError: If a list of numbers holds null, or lists of another length beside each other.
    """
    from pyarrow import ExtensionScalar

    kind = scalar.type
    if not scalar.is_valid:
        return None
    if isinstance(scalar, ExtensionScalar):
        return _value(scalar.value)
    if _is_number(kind):
        return np.asarray(scalar.as_py(), kind.to_pandas_dtype())
    if _is_list(kind):
        leaf = kind
        while _is_list(leaf):
            leaf = leaf.value_type
        if _is_number(leaf):
            return _array(scalar.values)
    return scalar.as_py()


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _array(values: Any) -> Any:
    """The elements of a list of numbers, or of lists of them, as an array."""
    from pyarrow import compute

    shape = [len(values)]
    while _is_list(values.type):
        if values.null_count:
            raise ValueError("a list holds null")
        lengths = np.unique(compute.list_value_length(values).to_numpy(zero_copy_only=False))
        if len(lengths) > 1:
            raise ValueError(f"lists of {lengths[0]} and {lengths[1]} numbers are beside each other")
        shape.append(int(lengths[0]) if len(lengths) else 0)
        values = values.flatten()
    if values.null_count:
        raise ValueError("a list of numbers holds null")
    return values.to_numpy(zero_copy_only=False).reshape(shape)


PARQUET = RecordFormat(
    name="parquet",
    kind="a Parquet file",
    suffixes=(".parquet",),
    scan=_scan,
    pick=_pick,
    remedy="it is truncated or no Parquet file: write it again",
    file_column="file",
    module="pyarrow",
    extra="parquet",
)
