"""A column of a table about the samples: one row for each sample in their order, or for each file of a folder."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from quantlab.errors import SamplesError, UsageError
from quantlab.foreign import reading
from quantlab.names import counted, excerpt, listed, nearest_of_many, shortened

__all__ = ["FILE_COLUMN", "Row", "names_a_column", "read_column", "refuse_missing_table", "split_column"]

FILE_COLUMN = "file"
"""Header of the column by which rows are found for samples that are files: paths below the folder."""

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_NAMED = re.compile(r"(.*?\.(?:csv|tsv)):(.+)", re.DOTALL | re.IGNORECASE)
_TOLD = 3
_REMEDY = "give a UTF-8 text file with a header line and one row for each sample"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    line: int
    """Number of its last line in the file, counted from 1."""
    cells: tuple[str, ...]
    """Values without spaces around them, as many as the header has."""


def names_a_column(text: str) -> bool:
    """Whether a text has the form `FILE.csv:COLUMN` or `FILE.tsv:COLUMN`.

    >>> names_a_column("meta.csv:site"), names_a_column("meta.csv"), names_a_column("module:function")
    (True, False, False)
    """
    return _NAMED.fullmatch(text) is not None


def split_column(text: str, *, option: str) -> tuple[Path, str]:
    """Split `meta.csv:COLUMN` into the file and the name of a column.

    >>> split_column("meta.csv:lens: left", option="--slice")[1]
    'lens: left'

    Args:
        text: What the user wrote.
        option: The option, for messages.

    Raises:
        UsageError: If the text names no .csv or .tsv file, or no column.
    """
    match = _NAMED.fullmatch(text)
    if match is None or not match[2].strip():
        raise UsageError(
            f"{option} '{excerpt(text)}' does not name a column of a .csv or .tsv file; write for example "
            f"{option} meta.csv:COLUMN"
        )
    return Path(match[1]), match[2].strip()


def read_column(path: Path, column: str, *, n: int, files: Sequence[str], samples: str) -> tuple[str, ...]:
    """Read one value for each sample of a source.

    The first line of the file names the columns. For samples that are files, a column `file` holds their paths below
    the folder; rows may then be in any order, and rows of other files are ignored. For other samples, the rows are in
    the order of the source. Spaces around values are removed, and empty lines are skipped.

    Args:
        path: A .csv file with commas or a .tsv file with tabs, in UTF-8.
        column: Name of the column.
        n: Number of samples of the source.
        files: Name of each sample's file, see `Source.files`; empty if the samples are no files.
        samples: The source as the user wrote it, for messages.

    Returns:
        n texts in the order of the source, none of them empty.

    Raises:
        SamplesError: If the file is missing or no table, or its rows do not match the samples, or a value is missing.
        UsageError: If it has no such column.
    """
    header, rows = _read(path)
    place = _place(header, column, path)
    if files:
        rows = _of_files(rows, _place_of_files(header, path, samples), path, files, samples)
    elif len(rows) != n:
        raise SamplesError(
            f"'{path}' has {counted(len(rows), 'row')} and '{samples}' {counted(n, 'sample')}; give one row for each "
            f"sample, in the order of the samples"
        )
    empty = [row for row in rows if not row.cells[place]]
    if empty:
        lines = shortened([str(row.line) for row in empty], most=_TOLD)
        raise SamplesError(
            f"'{path}' has no value of '{column}' in {'line' if len(empty) == 1 else 'lines'} {lines}; give every "
            f"sample a value, for example 'unknown'"
        )
    return tuple(row.cells[place] for row in rows)


def _read(path: Path) -> tuple[tuple[str, ...], list[Row]]:
    """The names of the columns, and the rows."""
    refuse_missing_table(path)
    with reading(f"the table '{path}'", SamplesError, _REMEDY):
        # The mark that some programs write before UTF-8 would become a part of the first name.
        text = path.read_text(encoding="utf-8-sig")
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=_DELIMITERS.get(path.suffix.lower(), ","), strict=True
        )
        rows = [Row(reader.line_num, tuple(cell.strip() for cell in cells)) for cells in reader if cells]
    if not rows:
        raise SamplesError(f"the table '{path}' is empty; {_REMEDY}")
    header = rows[0].cells
    for row in rows[1:]:
        if len(row.cells) != len(header):
            raise SamplesError(
                f"line {row.line} of '{path}' has {counted(len(row.cells), 'value')} and the header "
                f"{counted(len(header), 'column')}; give every row one value for each column"
            )
    return header, rows[1:]


def refuse_missing_table(path: Path) -> None:
    """Report a missing table.

    Raises:
        SamplesError: If there is no such file; the message names similar ones beside it.
    """
    if path.is_file():
        return
    if not path.parent.is_dir():
        raise SamplesError(f"there is no '{path}', and no folder '{path.parent}'; {_REMEDY}")
    known = [entry.name for entry in path.parent.iterdir() if entry.suffix.lower() in _DELIMITERS]
    raise SamplesError(f"there is no file '{path}'; {nearest_of_many(path.name, known)}")


def _place(header: Sequence[str], column: str, path: Path) -> int:
    places = [place for place, name in enumerate(header) if name == column]
    if not places:
        raise UsageError(f"'{path}' has no column '{excerpt(column)}'; {nearest_of_many(column, filter(None, header))}")
    if len(places) > 1:
        raise UsageError(f"'{path}' has {len(places)} columns '{excerpt(column)}'; rename all but one of them")
    return places[0]


def _place_of_files(header: Sequence[str], path: Path, samples: str) -> int:
    if FILE_COLUMN not in header:
        raise UsageError(
            f"'{path}' has no column '{FILE_COLUMN}', and the samples '{samples}' are files; add a column "
            f"'{FILE_COLUMN}' with their paths below '{samples}'"
        )
    return _place(header, FILE_COLUMN, path)


def _of_files(rows: Sequence[Row], place: int, path: Path, files: Sequence[str], samples: str) -> list[Row]:
    """The rows of the samples' files, in the order of the samples."""
    by_file: dict[str, Row] = {}
    for row in rows:
        name = PurePosixPath(row.cells[place]).as_posix()
        if name in by_file:
            raise SamplesError(
                f"'{path}' names the file '{excerpt(name)}' in the lines {by_file[name].line} and {row.line}; give one "
                f"row for each file"
            )
        by_file[name] = row
    missing = [name for name in files if name not in by_file]
    if missing:
        raise SamplesError(
            f"'{path}' has no row for {counted(len(missing), 'file')} of '{samples}' ({listed(missing, most=_TOLD)}); "
            f"give one row for each file, with its path below '{samples}'"
        )
    return [by_file[name] for name in files]
