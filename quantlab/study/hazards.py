"""Hazards of a study's model and artifacts, with what the study measured of each."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quantlab.lint import HAZARDS, Confirmed, lint
from quantlab.names import decibels
from quantlab.store import Store
from quantlab.types import Cost, Costs, Study, Variant, WeightRow, float32_of
from quantlab.types.lint import Finding, LintResult

__all__ = ["baselines_left_out", "lint_study"]


def lint_study(folder: Path, *, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> LintResult:
    """Examine the model of a study and every artifact in it; runs nothing.

    Each finding that the study confirms or refutes carries the figure (`Finding.measured`): the SQNR of the weight, the
    times, or the float32 check. An error of an artifact that failed carries the reason. The model is left out if its
    file is gone; of a SavedModel, the signature that the study called is examined.

    Args:
        folder: The study.
        select: As in `quantlab.lint.lint`.
        ignore: The same.

    Raises:
        StudyError: If it is no finished study.
        UsageError: If a text of `select` or `ignore` matches no id.
    """
    store = Store(folder)
    study, inside = store.read_study(), store.inside_or_none()
    costs = store.read(folder / "costs.json", Costs)
    model, variants = Path(study.model.path), _variants(study)
    models = [model] if model.exists() else []
    result = lint(models, select=select, ignore=ignore, signature=study.model.signature)
    result += lint([variant.path for variant in variants], select=select, ignore=ignore)
    measured = _Measured(
        study,
        inside.weights if inside is not None else (),
        costs.rows if costs is not None else (),
        {str(variant.path): variant for variant in variants},
    )
    return replace(result, findings=tuple(map(measured.confirm, result.findings)))


def baselines_left_out(folder: Path) -> tuple[str, ...]:
    """Names of the float32 baselines that `lint_study` does not examine.

    Raises:
        StudyError: If it is no finished study.
    """
    study = Store(folder).read_study()
    examined = {variant.name for variant in _variants(study)}
    made = dict.fromkeys(trial.variant.name for trial in study.trials if trial.variant is not None)
    return tuple(name for name in made if name not in examined)


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


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a study measured."""

    study: Study
    weights: Sequence[WeightRow]
    costs: Sequence[Cost]
    variants: Mapping[str, Variant]
    """Path as in a finding → variant."""

    def confirm(self, finding: Finding) -> Finding:
        """The finding with its figure; unchanged if nothing about it was measured."""
        variant = self.variants.get(finding.path)
        told = _FIGURES[HAZARDS[finding.hazard].confirmed_by](self, finding, variant)
        if not told and finding.severity == "error" and variant is not None:
            failed = next((trial for trial in self.study.failed if trial.setting == variant.name), None)
            if failed is not None and failed.failure is not None:
                told = f"{failed.runtime} failed: {failed.failure.reason}"
        return replace(finding, measured=told)

    def nothing(self, _finding: Finding, _variant: Variant | None) -> str:
        """Hazards that no figure of a study shows."""
        return ""

    def codes(self, finding: Finding, variant: Variant | None) -> str:
        """SQNR of the weight in codes of 8 bits."""
        return _sqnr(_rows(finding, variant, [row for row in self.weights if row.scales and _bits(row) == 8]))

    def halves(self, finding: Finding, variant: Variant | None) -> str:
        """SQNR of the weight in half floats."""
        return _sqnr(_rows(finding, variant, [row for row in self.weights if not row.scales and _bits(row) == 16]))

    def times(self, _finding: Finding, variant: Variant | None) -> str:
        """Median time of the variant, and of the float32 artifact, in the first runtime that timed both."""
        if variant is None:
            return ""
        at = {(cost.setting, cost.runtime): cost.steady_median_ms for cost in self.costs}
        for setting, runtime in at:
            own, other = at.get((variant.name, runtime)), at.get((float32_of(variant.format), runtime))
            if setting == variant.name and own is not None and other is not None:
                return f"{runtime}: {own:.3g} ms, float32 {other:.3g} ms"
        return ""

    def float32_check(self, finding: Finding, variant: Variant | None) -> str:
        """The float32 check of the format, or of a variant that the user gave."""
        named = [variant.name, variant.format] if variant is not None else HAZARDS[finding.hazard].formats
        checks = (f"float32 check of {name}: {self.study.parity[name]}" for name in named if name in self.study.parity)
        return next(checks, "")


_FIGURES: Mapping[Confirmed, Callable[[_Measured, Finding, Variant | None], str]] = {
    "": _Measured.nothing,
    "weights in 8 bits": _Measured.codes,
    "weights in float16": _Measured.halves,
    "times": _Measured.times,
    "float32 check": _Measured.float32_check,
}


def _bits(row: WeightRow) -> int:
    """Bits of one stored value: the number in the name of its data type; 0 if there is none."""
    return int(re.sub(r"\D", "", row.dtype) or 0)


def _sqnr(rows: Iterator[WeightRow]) -> str:
    """The row with the lowest SQNR, of its worst channel if that is known; empty without rows."""
    row = min(rows, key=_lowest, default=None)
    if row is None:
        return ""
    told = f"{row.setting}: SQNR {decibels(_number(row.sqnr_db))}"
    return told if row.worst_channel_sqnr_db is None else f"{told}, worst channel {decibels(row.worst_channel_sqnr_db)}"


def _number(value: float | None) -> float:
    return float("-inf") if value is None else value


def _lowest(row: WeightRow) -> float:
    return _number(row.sqnr_db if row.worst_channel_sqnr_db is None else row.worst_channel_sqnr_db)


def _rows(finding: Finding, variant: Variant | None, rows: Sequence[WeightRow]) -> Iterator[WeightRow]:
    """Compared weights that a finding is about: of its variant, or else of all that were made from that weight."""
    for row in rows:
        own = variant is not None and row.setting == variant.name and row.tensor == finding.where
        if row.sqnr_db is not None and (own or _is_of(finding, variant, row)):
            yield row


def _is_of(finding: Finding, variant: Variant | None, row: WeightRow) -> bool:
    """Whether a weight was made from that of a finding about a float32 artifact, or about the model."""
    if variant is not None:
        return row.counterpart == finding.where
    scope, _, name = finding.where.rpartition("/")
    layer = scope.rpartition("/")[2]
    named = row.counterpart or row.tensor
    return bool(layer) and ("kernel" in name) == (len(row.shape) > 1) and layer in re.split(r"[/;]", named)
