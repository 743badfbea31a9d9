"""JSON lines: each line is an object, and each object is a sample."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from quantlab.names import excerpt, listed
from quantlab.samples.records.contract import Record, RecordFormat
from quantlab.samples.records.lines import Lines

__all__ = ["JSON_LINES"]


_LABEL_NAMES = frozenset({"y", "labels", "label"})
"""The names that labels have by custom. Of those that are asked for, the first record says which a file uses."""


def _scan(stream: BinaryIO, names: Sequence[str]) -> Iterator[tuple[int, Record]]:
    lines = Lines(stream, 0)
    begins, customary, known = 0, _LABEL_NAMES.intersection(names), None
    for line in lines:
        if line.strip():
            record = _record(line, f"line {lines.number}")
            held = customary.intersection(record)
            known = held if known is None else known
            if known and held - known:
                raise ValueError(
                    f"line {lines.number} has {listed(sorted(held))}, and the first one has {listed(sorted(known))}, "
                    f"so that it is not known which are the labels"
                )
            yield begins, record
        begins = lines.place


def _pick(stream: BinaryIO, places: Sequence[int], _: Sequence[str]) -> Iterator[Record]:
    for place in places:
        yield _record(next(Lines(stream, place)), f"the line at byte {place:,}")


def _record(line: str, where: str) -> Record:
    try:
        value = json.loads(line, parse_constant=_refuse)
    except ValueError as error:
        # The decoder counts lines from the beginning of this one, which would contradict the number of the line.
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise ValueError(f"{where}, '{excerpt(line.strip(), most=40)}', is no JSON value: {reason}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{where}, '{excerpt(line.strip(), most=40)}', is no object with names")
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


JSON_LINES = RecordFormat(
    name="jsonl",
    kind="a JSON lines file",
    suffixes=(".jsonl", ".ndjson"),
    scan=_scan,
    pick=_pick,
    remedy="give text in UTF-8 with one JSON object for each sample and line",
    file_column="file",
)
