"""Classes and slices that lose accuracy significantly, with their columns in a comment."""

from collections.abc import Iterable
from dataclasses import replace

from quantlab.gate import rounded_down, rounded_up
from quantlab.types import ClassLoss, Evidence
from quantlab_reports.figures import fixed, number
from quantlab_reports.markdown_text import as_text
from quantlab_reports.model import Column

__all__ = ["CLASS_COLUMNS", "SLICE_COLUMNS", "losing_classes", "losing_slices"]

_FIGURES = (
    Column("samples", lambda lost: f"{lost.n:,}"),
    Column("became wrong / right", lambda lost: f"{lost.right_to_wrong:,}/{lost.wrong_to_right:,}"),
    Column("loss", lambda lost: f"{fixed(lost.loss, 2)} [{rounded_down(lost.lower)}, {rounded_up(lost.upper)}] pt"),
    Column("p (Holm)", lambda lost: number(lost.p_holm, 2)),
)

CLASS_COLUMNS = (Column("class", lambda lost: as_text(lost.number_and_name)), *_FIGURES)
"""Columns of a `ClassLoss`."""

SLICE_COLUMNS = (Column("slice", lambda lost: as_text(lost.name), numeric=False), *_FIGURES)
"""Columns of a `ClassLoss` about a slice."""


def losing_classes(evidence: Evidence | None) -> list[ClassLoss]:
    """Classes that lose significantly, smallest p-value first."""
    return _sorted(lost for lost in (evidence.classes if evidence else ()) if lost.loses)


def losing_slices(evidence: Evidence | None) -> list[ClassLoss]:
    """Slices that lose significantly, with the name `attribute=value`, smallest p-value first."""
    return _sorted(
        replace(lost, name=f"{one.attribute}={lost.name}")
        for one in (evidence.slices if evidence else ())
        for lost in one.losses
        if lost.loses
    )


def _sorted(losses: Iterable[ClassLoss]) -> list[ClassLoss]:
    return sorted(losses, key=lambda lost: lost.p_holm)
