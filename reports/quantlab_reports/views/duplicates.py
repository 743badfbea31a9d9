"""The view of scored samples that are equal or nearly equal to others, one row for each pair.

JSON and CSV rows have the fields of `DuplicateRow` as keys.
"""

from dataclasses import dataclass, fields, replace

from quantlab.samples import MOST_IMAGES, NEAR_DISTANCE
from quantlab.types import Duplicate, Duplicates
from quantlab_reports.figures import fixed
from quantlab_reports.model import Column, RowView, Selection, Table, table_of

__all__ = ["DUPLICATES", "DuplicateRow", "duplicate_table"]


@dataclass(frozen=True, slots=True)
class DuplicateRow:
    """A scored sample that is a copy of another one."""

    sample: int
    """Position of the sample in the source, from 0."""
    of: int
    """Position of the sample that it is a copy of."""
    equal: bool
    """Whether both are equal byte by byte."""
    distance: float
    """Root mean square difference of the images at 16 × 16 pixels, in units of their contrast; 0 if they are equal."""
    file: str | None
    """Name of the sample's file below the source; null if samples are no files."""
    of_file: str | None
    """Name of the other file."""


DUPLICATES = RowView(
    kind=DuplicateRow,
    sorts={"distance": lambda row: row.distance},
    columns=(
        Column("sample", lambda row: row.file or f"{row.sample}", numeric=False),
        Column("copy of", lambda row: row.of_file or f"{row.of}", numeric=False),
        Column("kind", lambda row: "equal" if row.equal else "nearly equal", numeric=False),
        Column("distance", lambda row: fixed(row.distance, 3)),
    ),
)


_UNSEARCHED = f"nearly equal images are looked for among at most {MOST_IMAGES:,}"
_SENTENCE = Column("copies", str, numeric=False)


def duplicate_table(duplicates: Duplicates, selection: Selection) -> Table:
    """Return the table of all pairs."""
    found = (
        f"{duplicates.equal:,} of {duplicates.n:,} scored samples equal another one byte by byte, and "
        f"{duplicates.near:,} nearly do"
    )
    if not duplicates.searched:
        found = f"{duplicates.equal:,} of {duplicates.n:,} scored samples equal another one byte by byte; {_UNSEARCHED}"
    if not duplicates.pairs:
        DUPLICATES.select([], selection)  # refuses an unknown order
        found = f"None of the {duplicates.n:,} scored samples equals another one or nearly does, so there are no copies"
        if not duplicates.searched:
            found = f"None of the {duplicates.n:,} scored samples equals another one byte by byte; {_UNSEARCHED}"
        return replace(
            table_of([_SENTENCE], [found], keys=[field.name for field in fields(DuplicateRow)], records=[]),
            headed=False,
        )
    more = duplicates.equal + duplicates.near - len(duplicates.pairs)
    below = (
        found,
        *([f"the first {len(duplicates.pairs):,} are listed"] if more else []),
        f"nearly equal: images whose distance is at most {NEAR_DISTANCE} of their contrast",
        "Samples without a file name have their position in the source, from 0",
    )
    return DUPLICATES.table([_row(pair) for pair in duplicates.pairs], selection, below)


def _row(pair: Duplicate) -> DuplicateRow:
    return DuplicateRow(pair.sample, pair.of, pair.distance == 0, pair.distance, pair.file, pair.of_file)
