"""Makes the rows of the layer comparison: which tensors correspond, and by how much they differ."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from quantlab.statistics import LayerError
from quantlab.types import AGAINST_REFERENCE, Alignment, Baseline, LayerRow, TapSpec, Trial

__all__ = [
    "QUANTILES",
    "carry_over",
    "channel_rows",
    "measured_row",
    "unaligned_row",
    "with_growth",
    "with_isolated",
    "without_own_error",
]

QUANTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
"""Percentiles of |error| that each row lists."""
_CODECS = {"QUANTIZE", "DEQUANTIZE"}
_KEEPS_VALUES = _CODECS | {
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS",
    "QuantizeLinear", "DequantizeLinear", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity",
}  # fmt: skip
"""Ops that another version of a converter may add or leave out, because their outputs are their inputs."""


def carry_over(taps: Sequence[TapSpec], float32: Sequence[TapSpec]) -> dict[str, str]:
    """Tensor of a variant → tensor of the same format's float32 baseline: by name, else by order among equal ops.

    Converters may rename activations, but keep the order of ops. Ops that only quantize or dequantize are skipped, and
    if the others are not the same, also those that only give values another shape.
    """
    known = {tap.name for tap in float32}
    names = {tap.name: tap.name for tap in taps if tap.name in known}
    for skipped in (_CODECS, _KEEPS_VALUES):
        ours = [tap for tap in taps if tap.op not in skipped]
        theirs = [tap for tap in float32 if tap.op not in skipped]
        if [tap.op for tap in ours] != [tap.op for tap in theirs]:
            continue
        for tap, other in zip(ours, theirs, strict=True):
            if tap.shape == other.shape:
                names.setdefault(tap.name, other.name)
        break
    return names


def unaligned_row(trial: Trial, tap: TapSpec | None, alignment: Alignment, place: int) -> LayerRow:
    """The row of a tensor that is not compared, with the reason; or of a layer without a tensor."""
    return LayerRow(
        setting=trial.setting,
        runtime=trial.runtime,
        layer=alignment.layer,
        tensor=alignment.tensor,
        baseline=AGAINST_REFERENCE,
        aligned=False,
        reason=alignment.reason,
        place=place,
        op=tap.op if tap else "",
        dtype=tap.dtype if tap else "",
    )


def measured_row(
    trial: Trial, tap: TapSpec, alignment: Alignment, baseline: Baseline, *, place: int, error: LayerError
) -> LayerRow:
    """The row of a tensor with its error against a baseline."""
    row = LayerRow(
        setting=trial.setting,
        runtime=trial.runtime,
        layer=alignment.layer,
        tensor=tap.name,
        baseline=baseline,
        aligned=True,
        reason=None,
        place=place,
        op=tap.op,
        dtype=tap.dtype,
        reference=alignment.reference or "",
    )
    if tap.codes is not None:
        minimum, maximum = tap.codes.ends
        row = replace(row, recorded_minimum=minimum, recorded_maximum=maximum, recorded_step=abs(tap.codes.scale))
    return _with_error(row, error)


def channel_rows(row: LayerRow, errors: Sequence[LayerError]) -> list[LayerRow]:
    """One row for each channel of a tensor, in order."""
    return [replace(_with_error(row, error), channel=channel) for channel, error in enumerate(errors)]


def _with_error(row: LayerRow, error: LayerError) -> LayerRow:
    sums = error.error
    return replace(
        row,
        count=sums.count,
        different=sums.different,
        mean_abs=sums.mean_abs,
        max_abs=sums.max_abs,
        rms=sums.rms,
        relative_rms=_relative(error),
        sqnr_db=sums.sqnr_db,
        cosine=sums.cosine,
        bias=sums.bias,
        non_finite=sums.non_finite,
        non_finite_baseline=sums.non_finite_reference,
        minimum=error.range.minimum,
        maximum=error.range.maximum,
        baseline_minimum=error.range_baseline.minimum,
        baseline_maximum=error.range_baseline.maximum,
        error_quantiles={f"{percent:g}": error.sketch.quantile(percent / 100) for percent in QUANTILES},
        saturated=error.saturated,
        clipped=error.clipped_share,
        worst_channel=error.worst_channel,
        worst_channel_sqnr_db=error.worst_channel_sqnr_db,
        more=error.more_figures,
    )


def with_growth(rows: Sequence[LayerRow]) -> tuple[LayerRow, ...]:
    """The rows of one trial with the growth of the relative RMS error from the previous tensor.

    The previous tensor is the last aligned one in order of execution with the same baseline; the first adds all of its
    own error.
    """
    before: dict[Baseline, float | None] = {}
    grown = []
    for row in rows:
        if not row.aligned or row.channel is not None:
            grown.append(row)
            continue
        growth = _difference(before.get(row.baseline, 0.0), row.relative_rms)
        before[row.baseline] = row.relative_rms
        grown.append(replace(row, relative_rms_growth=growth))
    return tuple(grown)


def _difference(before: float | None, after: float | None) -> float | None:
    if before is None or after is None or not (math.isfinite(before) and math.isfinite(after)):
        return None
    return after - before


def _relative(error: LayerError) -> float:
    """RMS of the error / RMS of the baseline; infinite if only the baseline is zero, 0 if there is no error."""
    sqnr = error.error.sqnr_db
    return math.nan if math.isnan(sqnr) else 10 ** (-sqnr / 20)


def with_isolated(row: LayerRow, isolated: Mapping[str, LayerError]) -> LayerRow:
    """The row with the isolated error of its node; the worst channel is then that of the isolated error."""
    error = isolated.get(row.tensor)
    if error is None:
        return row
    return replace(
        row,
        isolated_sqnr_db=error.error.sqnr_db,
        worst_channel=error.worst_channel,
        worst_channel_sqnr_db=error.worst_channel_sqnr_db,
    )


def without_own_error(row: LayerRow) -> LayerRow:
    """The row of an op without weights, which makes no error alone: neither the whole tensor nor a channel has one."""
    return replace(row, isolated_sqnr_db=math.inf, worst_channel=None, worst_channel_sqnr_db=math.inf)
