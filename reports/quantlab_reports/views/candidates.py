"""The view of a search: every candidate that `quantlab tune` measured, the largest first.

JSON and CSV rows have the fields of `CandidateRow` as keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from quantlab.names import counted_candidates
from quantlab.types import Tuning
from quantlab_reports.figures import EMPTY, fixed
from quantlab_reports.model import Column, RowView, Selection, Table
from quantlab_reports.views.cells import figure, scaled, text

__all__ = ["CANDIDATES", "CandidateRow", "candidate_table"]


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """One artifact that the search measured on its samples."""

    format: str
    """Name of the format that was tuned."""
    candidate: str
    """A setting; or the mean number of bits of a value in kernels, with a number; or what stays in float."""
    size_bytes: int
    """Size of all files as the target transfers them."""
    n: int
    """Number of search samples."""
    error: float
    """Mean KL divergence from the model in nats; mean squared error if the output has no classes, or if a candidate of
    the format gives a class the probability 0."""
    changed: int | None
    """Samples whose top-1 is another one than the model's; null without classes."""
    loss: float | None
    """Loss of the metric on the search samples; null without labels."""
    expected_upper: float
    """The upper bound of the loss that is expected on the samples of the verdict; without labels, that of the share of
    changed samples, in points; without classes, the negative SQNR in decibels. Infinite if an output is not finite."""
    unit: str
    """Unit of the bound: `pt`, `dB`, or that of the metric, which may be empty."""
    fits: bool
    """Whether this bound and the size are within the budget; if the samples of the verdict are too few for any bound to
    be, whether the share of changed samples and the size are."""
    chosen: bool
    """Whether it was chosen."""


def _bound(row: CandidateRow) -> str:
    """The bound with its unit; an SQNR as it is, of which more is better."""
    if row.unit == "dB":
        return f"SQNR {fixed(-row.expected_upper, 2)} dB"
    return f"{fixed(row.expected_upper, 2)} {row.unit}".rstrip()


def _state(row: CandidateRow) -> str:
    return "chosen" if row.chosen else "fits" if row.fits else ""


CANDIDATES = RowView(
    kind=CandidateRow,
    sorts={"size": lambda row: row.size_bytes, "error": lambda row: row.error},
    columns=(
        Column("format", text("format"), numeric=False),
        Column("candidate", text("candidate"), numeric=False),
        Column("KB", scaled("size_bytes", 1e3)),
        Column("error", figure("error")),
        Column("changed", lambda row: EMPTY if row.changed is None else f"{row.changed:,} of {row.n:,}"),
        Column("loss", lambda row: fixed(row.loss, 2)),
        Column("expected bound", _bound),
        Column("budget", _state, numeric=False),
    ),
)

_BELOW = (
    "error: mean KL divergence from the model in nats; mean squared error without classes, or if classes get exactly 0",
    "changed: samples with another top-1 than the model",
    "expected bound: upper bound of the loss on the samples of the verdict, as all candidates together tell it",
    "SQNR: without classes, that of the search samples stands for the bound",
    "All figures are those of the search samples, in Python; the verdict is of other samples",
)


def candidate_table(tuning: Tuning, selection: Selection) -> Table:
    """Return the table of all candidates."""
    return CANDIDATES.table(list(_rows(tuning)), selection, (*_BELOW, *_besides(tuning)))


def _besides(tuning: Tuning) -> Iterator[str]:
    """How many artifacts a search measured besides, in each format."""
    for name, decided in tuning.formats.items():
        if decided.single_decisions:
            yield (
                f"{name}: {counted_candidates(len(decided.candidates), decided.single_decisions)}; the latter are "
                f"artifacts that were measured to tell how one kernel, or some of the other weights, is stored"
            )


def _rows(tuning: Tuning) -> Iterator[CandidateRow]:
    for name, decided in tuning.formats.items():
        for one in decided.candidates:
            yield CandidateRow(
                format=name,
                candidate=one.name,
                size_bytes=one.size_bytes,
                n=one.n,
                error=one.error,
                changed=one.changed,
                loss=one.loss,
                expected_upper=one.expected_upper,
                unit=one.unit,
                fits=one.fits,
                chosen=one.name == decided.chosen,
            )
