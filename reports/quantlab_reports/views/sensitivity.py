"""The view of a sensitivity: how much each op of a variant contributes to its error, the most sensitive first.

JSON and CSV rows have the fields of `SensitivityRow` as keys. Text leaves out ops that were not reached,
or that the setting does not quantize.
"""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from quantlab.names import counted, shortened
from quantlab.types import Interval, MeasuredError, PartSensitivity, Sensitivity, VerifiedPart
from quantlab_reports.figures import EMPTY, fixed, number
from quantlab_reports.model import NOTES, Column, Table, plain, table_of
from quantlab_reports.views.cells import count

__all__ = ["SensitivityRow", "sensitivity_rows", "sensitivity_table"]


@dataclass(frozen=True, slots=True)
class SensitivityRow:
    """One op of a variant: the error if only it is quantized, and if it alone stays in float."""

    setting: str
    """Name of the setting."""
    part: str
    """Name of the tensor that the op writes in the float32 artifact."""
    layers: tuple[str, ...]
    """Paths of the layers that the op was made from; empty if no name tells them."""
    weights: int
    """Number of its weights that are floats in the float32 artifact."""
    only_kl: float | None
    """Mean KL divergence in nats from the float32 artifact if only this op is quantized; null without classes."""
    only_kl_lower: float | None
    """Lower end of its 95 % interval."""
    only_kl_upper: float | None
    """Upper end of its 95 % interval."""
    only_mse: float | None
    """Mean squared error of the scored output if only this op is quantized; null if it was not measured."""
    only_mse_lower: float | None
    """Lower end of its 95 % interval."""
    only_mse_upper: float | None
    """Upper end of its 95 % interval."""
    only_flips: int | None
    """Samples with another top-1 than the float32 artifact if only this op is quantized; null without classes."""
    weights_kl: float | None
    """Mean KL divergence if only the weights of this op are quantized; null if the format cannot tell them apart."""
    weights_kl_lower: float | None
    """Lower end of its 95 % interval."""
    weights_kl_upper: float | None
    """Upper end of its 95 % interval."""
    weights_mse: float | None
    """Mean squared error in this case."""
    weights_mse_lower: float | None
    """Lower end of its 95 % interval."""
    weights_mse_upper: float | None
    """Upper end of its 95 % interval."""
    activations_kl: float | None
    """Mean KL divergence if only the activations that this op reads and writes are quantized; null as above."""
    activations_kl_lower: float | None
    """Lower end of its 95 % interval."""
    activations_kl_upper: float | None
    """Upper end of its 95 % interval."""
    activations_mse: float | None
    """Mean squared error in this case."""
    activations_mse_lower: float | None
    """Lower end of its 95 % interval."""
    activations_mse_upper: float | None
    """Upper end of its 95 % interval."""
    without_kl: float | None
    """The same figures if all ops but this one are quantized."""
    without_kl_lower: float | None
    """Lower end of its 95 % interval."""
    without_kl_upper: float | None
    """Upper end of its 95 % interval."""
    without_mse: float | None
    """Mean squared error if all ops but this one are quantized; null if it was not measured."""
    without_mse_lower: float | None
    """Lower end of its 95 % interval."""
    without_mse_upper: float | None
    """Upper end of its 95 % interval."""
    without_flips: int | None
    """Samples with another top-1 if all ops but this one are quantized; null without classes."""
    whole_kl: float | None
    """The same figures if all ops are quantized; equal in every row."""
    whole_kl_lower: float | None
    """Lower end of its 95 % interval."""
    whole_kl_upper: float | None
    """Upper end of its 95 % interval."""
    whole_mse: float
    """Mean squared error if all ops are quantized."""
    whole_mse_lower: float
    """Lower end of its 95 % interval."""
    whole_mse_upper: float
    """Upper end of its 95 % interval."""
    whole_flips: int | None
    """Samples with another top-1 if all ops are quantized; null without classes."""
    n: int
    """Number of samples behind these figures."""
    verified_n: int | None
    """Number of scored samples behind the next figures; null for an op that is not among the first ten."""
    verified_flips: int | None
    """Scored samples with another top-1 than the float32 artifact if all ops but this one are quantized."""
    verified_loss: float | None
    """Accuracy of the float32 artifact − accuracy with all ops but this one quantized, in percentage points."""
    verified_lower: float | None
    """Lower end of its 95 % interval (Tango)."""
    verified_upper: float | None
    """Upper end of its 95 % interval (Tango)."""
    float_layer: str | None
    """Entry for `--float-layers`, if the op is one of the most sensitive (`--keep`); otherwise null."""
    words: str | None
    """What the official tool needs to keep all of these in float; null for other ops, or if it cannot."""
    reason: str | None
    """Why the op was not measured, or not in every way; otherwise null."""


def sensitivity_rows(sensitivity: Sensitivity) -> list[SensitivityRow]:
    """Return a row for each op, the most sensitive first."""
    return [_row(sensitivity, part) for part in sensitivity.parts]


def _row(sensitivity: Sensitivity, part: PartSensitivity) -> SensitivityRow:
    verified, reason = part.verified, part.reason
    lower, upper = _ends(verified.interval if verified else None)
    if reason is None and (part.only is None or part.without is None):
        reason = "time was over"
    kept = part.entry in sensitivity.float_layers
    return SensitivityRow(
        setting=sensitivity.setting,
        part=part.part,
        layers=part.layers,
        weights=part.weights,
        **_figures("only", part.only),
        only_flips=part.only.flips if part.only else None,
        **_figures("weights", part.only_weights),
        **_figures("activations", part.only_activations),
        **_figures("without", part.without),
        without_flips=part.without.flips if part.without else None,
        **_figures("whole", sensitivity.whole),
        whole_flips=sensitivity.whole.flips,
        n=sensitivity.n,
        verified_n=verified.n if verified else None,
        verified_flips=verified.flips if verified else None,
        verified_loss=verified.accuracy_loss_points if verified else None,
        verified_lower=lower,
        verified_upper=upper,
        float_layer=part.entry if kept else None,
        words=sensitivity.words if kept else None,
        reason=reason,
    )


def _figures(kind: str, error: MeasuredError | None) -> dict[str, Any]:
    kl = _ends(error.kl_interval if error else None)
    mse = _ends(error.mse_interval if error else None)
    return {
        f"{kind}_kl": error.kl if error else None,
        f"{kind}_kl_lower": kl[0],
        f"{kind}_kl_upper": kl[1],
        f"{kind}_mse": error.mse if error else None,
        f"{kind}_mse_lower": mse[0],
        f"{kind}_mse_upper": mse[1],
    }


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval.lower, interval.upper)


def sensitivity_table(sensitivity: Sensitivity) -> Table:
    """Return the table of ops that the setting quantizes, with what keeps the worst of them in float."""
    rows = sensitivity_rows(sensitivity)
    shown = [row for row, part in zip(rows, sensitivity.parts, strict=True) if _is_shown(part)]
    unchanged = sum(part.only is not None and part.only.mse == 0 for part in sensitivity.parts)
    table = table_of(
        _columns(sensitivity),
        shown,
        keys=tuple(field.name for field in fields(SensitivityRow)),
        records=[plain(row) for row in rows],
        below=_below(sensitivity, unchanged),
    )
    return replace(table, code=(sensitivity.words,) if sensitivity.words else ())


def _is_shown(part: PartSensitivity) -> bool:
    return part.reason is not None or (part.only is not None and part.only.mse != 0)


def _columns(sensitivity: Sensitivity) -> list[Column]:
    classes, divergence = sensitivity.whole.kl is not None, sensitivity.by_divergence
    what, names = "KL" if divergence else "MSE", _names(sensitivity)
    columns = [
        Column("layer", lambda row: names[row.part], numeric=False),
        Column("weights", lambda row: f"{row.weights:,}"),
        Column(f"only this op: {what} [95 %]", lambda row: _error(row, "only", divergence)),
        *_apart(sensitivity, what),
        Column(f"all but this op: {what} [95 %]", lambda row: _error(row, "without", divergence)),
    ]
    if classes:
        columns += [
            Column("top-1 changed: only", count("only_flips")),
            Column("top-1 changed: all but", count("without_flips")),
        ]
    if sensitivity.verified_whole is not None:
        columns += [
            Column("on all samples: changed", count("verified_flips")),
            Column("loss from float32, points [95 %]", _loss),
        ]
    return [*columns, Column(NOTES, lambda row: row.reason or "", numeric=False)]


def _names(sensitivity: Sensitivity) -> dict[str, str]:
    """The name of each op in the table; ops of one layer are told apart by the last part of the tensor's name."""
    times = Counter(part.name for part in sensitivity.parts if _is_shown(part))
    return {
        part.part: part.name if times[part.name] < 2 or part.name == part.part else f"{part.name} ({_last(part.part)})"
        for part in sensitivity.parts
    }


def _last(tensor: str) -> str:
    """The op in a tensor's name; of a fused op the last one, which writes the tensor."""
    return tensor.partition(";")[0].rpartition("/")[2].partition(":")[0]


def _apart(sensitivity: Sensitivity, what: str) -> list[Column]:
    """Columns for weights and activations alone, if any op has these figures."""
    if not any(part.only_weights for part in sensitivity.parts):
        return []
    divergence = sensitivity.by_divergence
    return [
        Column(f"its weights: {what} [95 %]", lambda row: _error(row, "weights", divergence)),
        Column(f"its activations: {what} [95 %]", lambda row: _error(row, "activations", divergence)),
    ]


def _error(row: SensitivityRow, kind: str, divergence: bool) -> str:
    what = f"{kind}_{'kl' if divergence else 'mse'}"
    value = getattr(row, what)
    if value is None:
        return EMPTY
    return f"{number(value)} [{number(getattr(row, f'{what}_lower'))}, {number(getattr(row, f'{what}_upper'))}]"


def _loss(row: SensitivityRow) -> str:
    if row.verified_loss is None or row.verified_lower is None or row.verified_upper is None:
        return EMPTY
    return f"{fixed(row.verified_loss, 2)} [{fixed(row.verified_lower, 2)}, {fixed(row.verified_upper, 2)}]"


def _below(sensitivity: Sensitivity, unchanged: int) -> Sequence[str]:
    whole = sensitivity.whole
    value, interval = (whole.kl, whole.kl_interval) if sensitivity.by_divergence else (whole.mse, whole.mse_interval)
    lower, upper = _ends(interval)
    figure = f"{'KL' if sensitivity.by_divergence else 'MSE'} {number(value)} [{number(lower)}, {number(upper)}]"
    figure += "" if whole.flips is None else f", top-1 changed {whole.flips:,}"
    lines = [
        f"{sensitivity.setting} with all ops quantized: {figure}; n = {sensitivity.n:,} samples, {sensitivity.drawn}",
        f"compared with the float32 artifact in python, output '{sensitivity.output}'; intervals by BCa bootstrap",
    ]
    if whole.kl is not None and not sensitivity.by_divergence:
        lines.append("ranked by MSE, because the KL divergence is infinite: a quantized softmax gives classes 0")
    if not sensitivity.parts:
        lines.append(f"the model has no op with weights that {sensitivity.setting} could quantize")
    if unchanged:
        lines.append(f"{counted(unchanged, 'op is', 'ops are')} not quantized by this setting and not shown")
    if sensitivity.not_reached:
        names = shortened([f"'{name}'" for name in sensitivity.not_reached], most=5)
        lines.append(f"not measured, because time was over: {names}; the same command continues")
    if sensitivity.verified_whole is not None:
        lines.append(
            f"the last columns: all {sensitivity.verified_whole.n:,} scored samples, of the first ten ops; with all "
            f"ops quantized, {_verified(sensitivity.verified_whole)}"
        )
    if sensitivity.float_layers:
        entries = ",".join(sensitivity.float_layers)
        quoted = shlex.quote(entries) if "'" in entries else f"'{entries}'"
        lines.append(f"to keep the worst in float: --float-layers {quoted}")
    if sensitivity.words:
        lines.append("the same with the official tool:")
    return lines


def _verified(whole: VerifiedPart) -> str:
    changed = f"{whole.flips} changed"
    if whole.accuracy_loss_points is None or whole.interval is None:
        return changed
    lower, upper = fixed(whole.interval.lower, 2), fixed(whole.interval.upper, 2)
    return f"{changed}, loss from float32 {fixed(whole.accuracy_loss_points, 2)} points [{lower}, {upper}]"
