"""CSV files: the first line names the columns, and each row is a sample."""

import csv
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from quantlab.names import counted
from quantlab.samples.records.contract import Record, RecordFormat
from quantlab.samples.records.lines import Lines

__all__ = ["CSV", "TSV"]

_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}


class _Table:
    """The columns of a stream, and its rows."""

    def __init__(self, stream: BinaryIO, delimiter: str) -> None:
        self._stream, self._delimiter = stream, delimiter
        self._lines = Lines(stream, 0)
        self.header = [name.strip() for name in next(self._reader(), [])]
        if not self.header:
            raise ValueError("it is empty, and its first line must name the columns")
        self._refuse_another_delimiter()
        twice = [name for name in self.header if self.header.count(name) > 1]
        if twice:
            raise ValueError(f"two columns have the name '{twice[0]}'")

    def _refuse_another_delimiter(self) -> None:
        # A spreadsheet of another language writes semicolons into a .csv file: the whole line would be one column.
        others = [one for one in _DELIMITERS if one != self._delimiter and one in self.header[0]]
        if len(self.header) == 1 and others:
            raise ValueError(
                f"its columns are separated by {_DELIMITERS[others[0]]}, and those of this format by "
                f"{_DELIMITERS[self._delimiter]}"
            )

    def _reader(self) -> Iterator[list[str]]:
        # It takes lines one by one, so that the place of a row is that of the lines before it is read.
        return csv.reader(self._lines, delimiter=self._delimiter, strict=True)

    def rows(self, place: int | None = None) -> Iterator[tuple[int, Record]]:
        """All rows behind the header, or all from a place on; empty lines are skipped."""
        if place is not None:
            self._lines = Lines(self._stream, place)
        reader, begins = self._reader(), self._lines.place
        for cells in reader:
            if cells:
                yield begins, self._record(cells)
            begins = self._lines.place

    def _record(self, cells: list[str]) -> Record:
        if len(cells) != len(self.header):
            where = f"line {self._lines.number}" if self._lines.number else "a line"
            raise ValueError(
                f"{where} has {counted(len(cells), 'value')} and the header {counted(len(self.header), 'column')}"
            )
        return {name: value for name, cell in zip(self.header, cells, strict=True) if (value := cell.strip() or None)}


def _format(name: str, kind: str, delimiter: str) -> RecordFormat:
    def scan(stream: BinaryIO, _: Sequence[str]) -> Iterator[tuple[int, Record]]:
        return _Table(stream, delimiter).rows()

    def pick(stream: BinaryIO, places: Sequence[int], _: Sequence[str]) -> Iterator[Record]:
        table = _Table(stream, delimiter)
        for place in places:
            yield next(table.rows(place))[1]

    return RecordFormat(
        name=name,
        kind=kind,
        suffixes=(f".{name}",),
        scan=scan,
        pick=pick,
        remedy="give a UTF-8 text file with a header line and one row for each sample",
        file_column="file",
    )


CSV = _format("csv", "a CSV file", ",")
TSV = _format("tsv", "a TSV file", "\t")
