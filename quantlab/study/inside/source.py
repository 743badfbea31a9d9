"""Names the op and the weight that cause the loss of a variant, by the error that each op makes alone."""

import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace

from quantlab.names import decibels
from quantlab.study.warnings import of_output
from quantlab.types import AGAINST_REFERENCE, PYTHON, LayerRow, Source, Study, Trial, WeightRow

__all__ = ["find_sources", "warn_of_collapses"]

_COLLAPSE_POINTS = 5.0
_COLLAPSE_AGREEMENT = 90.0
_COLLAPSE_DB = 10.0
"""What counts as a collapse: at least so many points lost, fewer than so many percent of the predictions unchanged, or
an output with a lower SQNR; for the first two, the end of the interval that is nearer to no loss."""
_DESTROYED_DB = 3.0
"""Below this, the error of a channel has at least half the power of its signal."""
_CAUSE_DB = 10.0
"""Below this, the error of a channel has more than a tenth of its signal's power, and may cause a collapse alone."""
_CALIBRATE_AGAIN = (
    "; its calibration samples have another range than the scored samples, so preprocess both alike and analyze again "
    "before you choose another setting"
)
"""Other settings would only hide a wrong calibration, or have it too."""
_MILLION = 1e6
_BLAMED_DB = 10.0
"""A weight whose worst channel is this much better than that of its op's output is not what ruins the output."""


def find_sources(layers: Iterable[LayerRow], weights: Sequence[WeightRow]) -> tuple[Source, ...]:
    """For each setting with isolated errors, the op that causes most of the error (see `Source`), in row order.

    Args:
        layers: Rows of all trials; those without an isolated error are ignored.
        weights: Rows of all weights.
    """
    worst: dict[str, LayerRow] = {}
    for row in layers:
        if row.isolated_sqnr_db is None or row.channel is not None or row.baseline != AGAINST_REFERENCE:
            continue
        if row.setting not in worst or _is_worse(row, worst[row.setting]):
            worst[row.setting] = row
    return tuple(_source(row, weights) for row in worst.values() if _own_sqnr_db(row) != math.inf)


def _is_worse(row: LayerRow, known: LayerRow) -> bool:
    """Whether an op is rather the source than another; the earlier of two that both destroy a channel."""
    if max(_own_sqnr_db(row), _own_sqnr_db(known)) < _DESTROYED_DB:
        return row.place < known.place
    return _own_sqnr_db(row) < _own_sqnr_db(known)


def _own_sqnr_db(row: LayerRow) -> float:
    """The isolated SQNR of the worst channel; NaN counts as the worst."""
    value = row.isolated_sqnr_db if row.worst_channel is None else row.worst_channel_sqnr_db
    return math.inf if value is None else -math.inf if math.isnan(value) else value


def _source(row: LayerRow, weights: Sequence[WeightRow]) -> Source:
    source = Source(row.setting, row.layer, row.op, row.tensor, _own_sqnr_db(row), row.worst_channel)
    own = [weight for weight in weights if weight.setting == row.setting and _is_of(weight, row.layer)]
    erring = [weight for weight in own if weight.worst_channel is not None and weight.worst_channel_sqnr_db is not None]
    if not erring:
        return source
    weight = min(erring, key=lambda weight: weight.worst_channel_sqnr_db or 0.0)
    return replace(
        source,
        weight=weight.tensor,
        weight_channels=weight.channels,
        weight_scales=weight.scales,
        weight_spread=weight.channel_spread,
        weight_channel=weight.worst_channel,
        weight_sqnr_db=weight.worst_channel_sqnr_db,
    )


def _is_of(weight: WeightRow, layer: str) -> bool:
    """Whether a layer reads a weight; in layers-models, the names of weights begin with that of the layer."""
    return weight.layer == layer or (not weight.layer and weight.tensor.startswith(f"{layer}/"))


def warn_of_collapses(
    study: Study,
    sources: Iterable[Source],
    layers: Sequence[LayerRow] = (),
    weights: Sequence[WeightRow] = (),
    *,
    badly_calibrated: Container[str] = (),
) -> tuple[str, ...]:
    """A sentence for each variant that lost most of what the model can do: how much, what causes it, what to use.

    Args:
        study: The study.
        sources: Of the variants whose ops were run alone.
        layers: Rows of all trials; of other variants, they tell where the error grows most.
        weights: Rows of all weights.
        badly_calibrated: Variants whose calibration samples are known to have another range than the scored ones; for
            them, better calibration samples are the way out.
    """
    measured = {trial.setting: trial for trial in study.trials if trial.runtime == PYTHON and trial.scores is not None}
    source_of = {source.setting: source for source in sources}
    sentences = []
    for name, trial in measured.items():
        loss = _collapse(trial) if not _is_wrong_in_float32(trial, study) else None
        cause = _cause(source_of[name]) if name in source_of else _place(name, layers, weights)
        if loss is not None and cause is not None:
            remedy = _CALIBRATE_AGAIN if name in badly_calibrated else _instead(trial, measured)
            sentences.append(f"{name} {loss}: {cause}{remedy}")
    return tuple(sentences)


def _place(setting: str, layers: Sequence[LayerRow], weights: Sequence[WeightRow]) -> str | None:
    """Where the error of a variant grows most, if its ops were not run alone; None if it could not be read."""
    rows = [row for row in layers if (row.setting, row.runtime, row.baseline) == (setting, PYTHON, AGAINST_REFERENCE)]
    grown = [row for row in rows if row.channel is None and row.relative_rms_growth is not None]
    if not grown or any(row.isolated_sqnr_db is not None for row in rows):
        return None
    most = max(grown, key=lambda row: row.relative_rms_growth or 0.0)
    text = (
        f"its ops were not run alone, so the cause is not certain; the error grows most in layer {most.layer} "
        f"({most.op}), to an SQNR of {decibels(most.sqnr_db or 0.0)}"
    )
    source = _source(most, weights)
    ruined = source.weight_sqnr_db is not None and source.weight_sqnr_db < _CAUSE_DB
    return f"{text}; {_of_weight(source)}" if ruined else text


def _is_wrong_in_float32(trial: Trial, study: Study) -> bool:
    """Whether the scored output failed the float32 check of the format: then the conversion, or the model, loses."""
    check = study.parity.get(trial.variant.format, "") if trial.variant is not None else ""
    return check.startswith("broken") and of_output(study.scored_output) in check


def _collapse(trial: Trial) -> str | None:
    """How much a quantized variant lost, as a clause; None if it did not collapse."""
    scores = trial.scores
    if scores is None or trial.variant is None or trial.variant.is_float32 or trial.variant.given:
        return None
    if scores.top1_loss_points is not None and scores.top1_loss_interval is not None:
        lost = scores.top1_loss_interval.lower >= _COLLAPSE_POINTS
        return f"loses {scores.top1_loss_points:.1f} points of top-1" if lost else None
    if scores.agreement is not None and scores.agreement_interval is not None:
        changed = scores.agreement_interval.upper < _COLLAPSE_AGREEMENT
        return f"changes {100 - scores.agreement:.1f} % of the predictions" if changed else None
    if scores.sqnr_db is not None and scores.sqnr_db < _COLLAPSE_DB:
        return f"leaves an SQNR of {decibels(scores.sqnr_db)} in the output"
    return None


def _cause(source: Source) -> str:
    """The op and the weight, with their decibels; an op whose own error is small is not called the cause."""
    place = "its output" if source.channel is None else f"channel {source.channel} of its output"
    own = f"layer {source.layer} ({source.op}): with exact inputs, {place} has an SQNR of {decibels(source.sqnr_db)}"
    if source.sqnr_db >= _CAUSE_DB:
        return f"errors of several layers may add up; the largest of one layer alone is that of {own}"
    text = f"the cause is {own}"
    weight_sqnr_db = source.weight_sqnr_db
    if not source.weight or weight_sqnr_db is None:
        return text
    if weight_sqnr_db > source.sqnr_db + _BLAMED_DB:
        return (
            f"{text}; its weight '{source.weight}' has at least {decibels(weight_sqnr_db)} in every channel, so the "
            f"cause is the rounding of activations"
        )
    return f"{text}; {_of_weight(source)}"


def _of_weight(source: Source) -> str:
    """The weight of a source whose worst channel is known."""
    weight = (
        f"its weight '{source.weight}' has an SQNR of {decibels(source.weight_sqnr_db or 0.0)} in channel "
        f"{source.weight_channel}"
    )
    if source.weight_scales != 1 or source.weight_channels < 2 or source.weight_spread is None:
        return weight
    spread = f"{source.weight_spread:,.0f}" if source.weight_spread < _MILLION else "over a million"
    return (
        f"{weight}, because it has one scale for {source.weight_channels} channels whose largest values differ "
        f"{spread}-fold"
    )


def _instead(collapsed: Trial, measured: dict[str, Trial]) -> str:
    """The smallest quantized variant of the study that did not collapse, or else the one that loses least."""
    kept = [
        trial.variant
        for trial in measured.values()
        if trial.variant is not None
        and not (trial.variant.is_float32 or trial.variant.given)
        and _collapse(trial) is None
        and not (trial.scores is not None and trial.scores.non_finite)
    ]
    if not kept:
        best = min(
            (trial for trial in measured.values() if trial.variant is not None and not trial.variant.is_float32),
            key=_lost,
            default=collapsed,
        )
        if _lost(best) < _lost(collapsed):
            return (
                f"; {best.setting} loses least of the quantized variants of this study, so use it if that is little "
                f"enough, or try settings with more bits (quantlab settings)"
            )
        return "; no quantized variant of this study does better, so try settings with more bits (quantlab settings)"
    smallest = min(kept, key=lambda variant: variant.gzip_bytes)
    size = f"{smallest.gzip_bytes / 1000:,.1f} KB gzip"
    return f"; the smallest variant here that does not collapse is {smallest.name} ({size})"


def _lost(trial: Trial) -> float:
    """How much a variant lost, in the measure by which it collapses; infinite if that is unknown."""
    scores = trial.scores
    if scores is None or scores.non_finite:
        return math.inf
    if scores.top1_loss_points is not None:
        return scores.top1_loss_points
    if scores.agreement is not None:
        return 100 - scores.agreement
    return math.inf if scores.sqnr_db is None else -scores.sqnr_db
