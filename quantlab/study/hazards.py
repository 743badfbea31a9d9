"""Hazards of a study's model and artifacts, with what the study measured of each."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from quantlab.lint import lint
from quantlab.names import decibels
from quantlab.store import Store
from quantlab.types import Study, Variant, WeightRow, float32_of
from quantlab.types.lint import Finding, LintResult

__all__ = ["lint_study"]


def lint_study(folder: Path, *, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> LintResult:
    """Examine the model of a study and every artifact in it; runs nothing.

    Each finding about a weight that the study compared carries its SQNR (`Finding.measured`), and each error of an
    artifact that failed carries the reason. The model is left out if its file is gone.

    Args:
        folder: The study.
        select: As in `quantlab.lint.lint`.
        ignore: The same.

    Raises:
        StudyError: If it is no finished study.
        UsageError: If a text of `select` or `ignore` matches no id.
    """
    store = Store(folder)
    study = store.read_study()
    inside = store.inside_or_none()
    rows = inside.weights if inside is not None else ()
    model = Path(study.model.path)
    variants = _variants(study)
    paths = [*([model] if model.exists() else []), *(variant.path for variant in variants)]
    result = lint(paths, select=select, ignore=ignore)
    names = {str(variant.path): variant.name for variant in variants}
    return replace(
        result, findings=tuple(_measured(finding, names.get(finding.path), study, rows) for finding in result.findings)
    )


def _variants(study: Study) -> list[Variant]:
    """Every variant that was made, once, in the order of the table, without float32 artifacts that others come from.

    What is wrong with such a one is told of the model, and of the others.
    """
    made = {trial.variant.path: trial.variant for trial in study.trials if trial.variant is not None}
    quantized = {variant.format for variant in made.values() if variant.name != float32_of(variant.format)}
    return [
        variant
        for variant in made.values()
        if variant.name != float32_of(variant.format) or variant.format not in quantized
    ]


def _measured(finding: Finding, variant: str | None, study: Study, rows: Sequence[WeightRow]) -> Finding:
    """The finding with what the study measured; unchanged if it measured nothing about it."""
    row = min(_rows(finding, variant, rows), key=_severity, default=None)
    if row is not None:
        worst = row.worst_channel_sqnr_db
        told = f"{row.setting}: SQNR {decibels(_number(row.sqnr_db))}"
        return replace(finding, measured=told if worst is None else f"{told}, worst channel {decibels(worst)}")
    failures = [trial for trial in study.failed if trial.setting == variant]
    if finding.severity == "error" and failures and failures[0].failure is not None:
        return replace(finding, measured=f"{failures[0].runtime} failed: {failures[0].failure.reason}")
    return finding


_OF_WEIGHTS = frozenset(
    {"CHANNEL-SPREAD", "PER-TENSOR-DEPTHWISE", "OUTLIER", "BN-VARIANCE-U8", "F16-OVERFLOW", "F16-UNDERFLOW"}
)
"""Hazards of which the SQNR of a weight is the figure."""


def _rows(finding: Finding, variant: str | None, rows: Sequence[WeightRow]) -> Iterator[WeightRow]:
    """Compared weights that a finding is about: of its variant, or else of all that were made from that weight."""
    if finding.hazard not in _OF_WEIGHTS:
        return
    bits = "float16" if finding.hazard.startswith("F16") else "int8"
    for row in rows:
        own = row.setting == variant and row.tensor == finding.where
        if row.sqnr_db is not None and (own or (row.dtype.endswith(bits) and _is_of(finding, variant, row))):
            yield row


def _is_of(finding: Finding, variant: str | None, row: WeightRow) -> bool:
    """Whether a weight was made from that of a finding about a float32 artifact, or about the model."""
    if variant is not None:
        return row.counterpart == finding.where
    layer, _, name = finding.where.rpartition("/")
    named = row.counterpart or row.tensor
    return bool(layer) and ("kernel" in name) == (len(row.shape) > 1) and layer in re.split(r"[/;]", named)


def _number(value: float | None) -> float:
    return float("-inf") if value is None else value


def _severity(row: WeightRow) -> float:
    """The rows with the lowest SQNR first, that of the worst channel if it is known."""
    return _number(row.sqnr_db if row.worst_channel_sqnr_db is None else row.worst_channel_sqnr_db)
