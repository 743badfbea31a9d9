"""The contract of a format of records: files of which each holds many samples, one after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, BinaryIO

from quantlab.errors import SamplesError, UsageError

__all__ = ["MOST_RECORD_BYTES", "Record", "RecordFormat", "lookup", "refuse_absent", "refuse_large"]

Record = Mapping[str, Any]
"""Name → value of one sample: text, a number, a list, a mapping, bytes, an array, or None where it is missing."""

MOST_RECORD_BYTES = 256 * 2**20
"""Largest record: a damaged length must not ask for all memory."""


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """How the records of a file are found and read; a file is a seekable stream."""

    name: str
    """Its name, as `format` of a description has it."""
    kind: str
    """What a file is, with its article, for messages: `a CSV file`."""
    suffixes: tuple[str, ...]
    """Suffixes of its files, with the dot; `.gz` may follow."""
    scan: Callable[[BinaryIO, Sequence[str]], Iterator[tuple[int, Record]]]
    """Function that yields the place of each record, for `pick`, and at least these values of it, in one pass.

    Names of values that a record lacks are left out. Raises any exception for a malformed file.
    """
    pick: Callable[[BinaryIO, Sequence[int], Sequence[str]], Iterator[Record]]
    """Function that yields the records at ascending places, with at least these values; without names, with all."""
    remedy: str
    """What to do with a malformed file, as the end of a sentence."""
    label_names: tuple[str, ...] = ()
    """Names that labels have in this format by custom, besides those that all formats share."""
    file_column: str | None = None
    """Column of paths of image files, relative to the file; None if there is no such custom."""
    module: str | None = None
    """A module that must be importable; None if there is none."""
    extra: str | None = None
    """The extra of quantlab that brings the module."""


def lookup(record: Record, name: str) -> Any:
    """A value by its name; `a.b` is the value `b` of the mapping `a` unless a value has that whole name.

    >>> lookup({"a.b": 1, "a": {"b": 2}}, "a.b"), lookup({"a": {"b": 2}}, "a.b"), lookup({}, "a.b")
    (1, 2, None)
    """
    if name in record:
        return record[name]
    head, dot, rest = name.partition(".")
    inner = record.get(head) if dot else None
    return lookup(inner, rest) if isinstance(inner, Mapping) else None


def refuse_absent(format_: RecordFormat, name: str) -> None:
    """Check that what a format needs is installed.

    Raises:
        UsageError: If it is not; the message says how to install it for the file of this name.
    """
    if format_.module is not None and find_spec(format_.module) is None:
        raise UsageError(
            f"'{name}' is {format_.kind}, which needs the module '{format_.module}'; run 'pip install "
            f"quantlab[{format_.extra}]'"
        )


def refuse_large(size: int, what: str) -> None:
    """Refuse a record that is too large to be one.

    Raises:
        SamplesError: If it has more than `MOST_RECORD_BYTES`.
    """
    if size > MOST_RECORD_BYTES:
        raise SamplesError(
            f"{what} has {size / 1e6:,.0f} MB, and a record may have {MOST_RECORD_BYTES / 1e6:,.0f}; write it again"
        )
