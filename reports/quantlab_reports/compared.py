"""Several studies as one table: a row for each setting in each runtime, a column for each study."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

from quantlab.gate import decimals_of, rounded_down, rounded_up
from quantlab.gate.comparison import ComparedRow, ComparedStudies, ComparedStudy, Difference, Side
from quantlab.gate.figures import carried_by_few, unit_of
from quantlab.names import counted, joined, shortened
from quantlab.types import REFERENCE, Interval, Loss
from quantlab_reports.compared_likeness import (
    likeness_columns,
    likeness_conclusions,
    likeness_footer,
    likeness_record,
)
from quantlab_reports.figures import EMPTY, fixed, number
from quantlab_reports.losses import figure_of
from quantlab_reports.model import NOTES, Column, Table, plain, table_of

__all__ = ["CompareRow", "comparison_table"]

_MOST_NAMED = 5
"""Most rows that a sentence names."""


@dataclass(frozen=True, slots=True)
class CompareRow:
    """One setting in one runtime of one study."""

    setting: str
    runtime: str
    study: str
    """Name of the study."""
    status: str
    """`reference`, `measured`, `failed`, or `absent` if the study has no such row."""
    reason: str | None
    """Why it failed; otherwise null."""
    metric: str
    """Name of the metric; without labels `agreement` or `sqnr`, with the study's own model."""
    unit: str
    """`pt` for shares, which are in percent; `dB`; empty for the metric's own unit."""
    value: float | None
    """The metric of this study; null if nothing was measured."""
    value_lower: float | None
    """Lower end of its 95 % interval, of this study alone; null where no interval is known."""
    value_upper: float | None
    """Upper end of the same interval."""
    size_bytes: int | None
    """Bytes of all files that must be served; null for the model itself."""
    gzip_bytes: int | None
    """The same after gzip."""
    n: int
    """Number of samples of this study."""
    against: str | None = None
    """Name of the first study, if answers are compared with its answers sample by sample; otherwise null, like all keys
    below."""
    loss: float | None = None
    """What this study loses against the first one, in the unit; positive is worse for every metric."""
    loss_lower: float | None = None
    """Lower end of its 95 % interval."""
    loss_upper: float | None = None
    """Upper end of its 95 % interval."""
    together_lower: float | None = None
    """Lower end of the interval that holds with 95 % for all differences of the table together; without labels, that of
    `agreement` or `difference`."""
    together_upper: float | None = None
    """Upper end of the same interval."""
    method: str | None = None
    """Method of the bounds."""
    became_wrong: int | None = None
    """Samples that are right in the first study and wrong in this one; null for metrics that count no answers."""
    became_right: int | None = None
    """Samples that are wrong in the first study and right in this one."""
    agreement: float | None = None
    """Without labels: percent of samples, or of positions, with the class that the first study gives; null with labels
    and for outputs without classes, like the next three keys."""
    agreement_lower: float | None = None
    """Lower end of its 95 % interval."""
    agreement_upper: float | None = None
    """Upper end of its 95 % interval."""
    other_answers: int | None = None
    """Samples with another class than in the first study; null for positions and for samples in groups, too."""
    kl: float | None = None
    """Without labels: mean KL divergence from the first study in nats; null if the outputs have no classes."""
    kl_lower: float | None = None
    """Lower end of its 95 % interval."""
    kl_upper: float | None = None
    """Upper end of its 95 % interval; null if no sample differs: nothing says then how much another one would."""
    difference: float | None = None
    """Without labels, for outputs without classes: mean over the samples of the largest absolute difference of an
    element from the first study."""
    difference_lower: float | None = None
    """Lower end of its 95 % interval."""
    difference_upper: float | None = None
    """Upper end of its 95 % interval; null if no sample differs."""


def comparison_table(compared: ComparedStudies) -> Table:
    """Return the table: what may be concluded, then the figures of each study and their differences."""
    several = range(len(compared.studies))
    columns = [
        Column("setting", lambda row: row.setting, numeric=False),
        Column("runtime", lambda row: row.runtime, numeric=False),
        *(_value_column(compared, place) for place in several),
        *(_size_column(compared, place) for place in several),
        *(column for place in several[1:] for column in _difference_columns(compared, place)),
        Column(NOTES, lambda row: _notes(compared, row), numeric=False),
    ]
    return table_of(
        columns,
        list(compared.rows),
        keys=[field.name for field in fields(CompareRow)],
        records=[plain(record) for row in compared.rows for record in _records(compared, row)],
        above=list(conclusions(compared)),
        below=list(_footer(compared)),
    )


def conclusions(compared: ComparedStudies) -> Iterator[str]:
    """What may be concluded about each study and the first one, a sentence for each; what may not begins with `!`."""
    first, *others = compared.studies
    if not compared.labelled:
        yield from likeness_conclusions(compared)
        return
    for place, study in enumerate(others, start=1):
        found = [(row, row.sides[place].difference) for row in compared.rows]
        pairs = [(row, difference.together) for row, difference in found if difference is not None]
        if study.unpaired:
            yield (
                f"! {study.name} and {first.name} are not compared sample by sample ({study.unpaired}): their figures "
                f"stand side by side, and no difference is shown"
            )
        elif not pairs:
            yield f"! {study.name} and {first.name} have no measured row in common, so no difference is shown"
        else:
            yield _conclusion(first, study, pairs)
    if number_of := len(compared.differences):
        yield (
            f"Each of these bounds holds with 95 % for {counted(number_of, 'difference')} together; the intervals of "
            f"the table are of one row each"
            if number_of > 1
            else "The bound is that of a 95 % interval"
        )


_Pairs = Sequence[tuple[ComparedRow, Loss]]


def _conclusion(first: ComparedStudy, study: ComparedStudy, pairs: _Pairs) -> str:
    spoiled = [pair for pair in pairs if math.isnan(pair[1].loss)]
    worse = [pair for pair in pairs if pair[1].lower > 0 and pair not in spoiled]
    better = [pair for pair in pairs if pair[1].upper < 0 and pair not in spoiled]
    others = [pair for pair in pairs if pair not in spoiled and pair not in worse and pair not in better]
    if len(others) == len(pairs):
        where = f"between {study.name} and {first.name} is shown in {_all(others)}"
        return f"No difference {where}: {_at_most(study, others)}"
    clauses = []
    if spoiled:
        clauses.append(f"! the metric is NaN or infinite in {_named(spoiled)}, so no difference is known")
    if worse:
        least = min((loss for _, loss in worse), key=lambda loss: loss.lower)
        clauses.append(f"{study.name} is worse than {first.name} in {_named(worse)}: loses at least {_low(least)}")
    if better:
        least = max((loss for _, loss in better), key=lambda loss: loss.upper)
        clauses.append(f"{study.name} is better than {first.name} in {_named(better)}: gains at least {_gain(least)}")
    if others:
        clauses.append(f"no difference is shown in {_named(others)}: {_at_most(study, others)}")
    return "; ".join(clauses)


def _all(pairs: _Pairs) -> str:
    return "the one row that both have" if len(pairs) == 1 else f"any of {len(pairs)} rows"


def _at_most(study: ComparedStudy, pairs: _Pairs) -> str:
    most = max((loss for _, loss in pairs), key=lambda loss: loss.upper)
    least = min((loss for _, loss in pairs), key=lambda loss: loss.lower)
    loses = rounded_up(max(most.upper, 0.0), decimals=decimals_of(most))
    gains = rounded_up(max(-least.lower, 0.0), decimals=decimals_of(least))
    return f"{study.name} loses at most {loses} and gains at most {gains}{unit_of(most)}"


def _low(loss: Loss) -> str:
    return f"{rounded_down(loss.lower, 0.0, decimals=decimals_of(loss))}{unit_of(loss)}"


def _gain(loss: Loss) -> str:
    return f"{rounded_down(-loss.upper, 0.0, decimals=decimals_of(loss))}{unit_of(loss)}"


def _named(pairs: _Pairs) -> str:
    """Rows in words: settings with their runtimes."""
    runtimes: dict[str, list[str]] = {}
    for row, _ in pairs:
        runtimes.setdefault(row.setting, []).append(row.runtime)
    named = [
        "the model itself" if setting == REFERENCE else f"{setting} ({', '.join(where)})"
        for setting, where in runtimes.items()
    ]
    return shortened(named, most=_MOST_NAMED)


def _value_column(compared: ComparedStudies, place: int) -> Column:
    name, unit = compared.studies[place].name, {"pt": " %", "dB": " dB"}.get(compared.unit, "")

    def cell(row: ComparedRow) -> str:
        side = row.sides[place]
        interval, text = _interval(compared, row, place), _value(side.value, compared.unit)
        if interval is None:
            return text
        return f"{text} [{_value(interval.lower, compared.unit)}, {_value(interval.upper, compared.unit)}]"

    known = any(_interval(compared, row, place) for row in compared.rows)
    return Column(f"{name}: {compared.metric}{unit}{' [95 %]' if known else ''}", cell)


def _interval(compared: ComparedStudies, row: ComparedRow, place: int) -> Interval | None:
    """The interval of a metric from the study's own table; None if that is of another metric, or of other samples.

    None for samples in groups, too: the table takes them as independent.
    """
    side = row.sides[place]
    scores = None if side.trial is None else side.trial.scores
    if scores is None or side.value is None or compared.studies[place].study.samples.groups_sha256:
        return None
    if not compared.labelled:
        return scores.agreement_interval if compared.metric == "agreement" else None
    figure = figure_of(scores)
    same = figure is not None and figure.metric == compared.metric and math.isclose(figure.value, side.value)
    return figure.interval if figure is not None and same else None


def _value(value: float | None, unit: str) -> str:
    return fixed(value, {"pt": 2, "dB": 1}[unit]) if unit else number(value, 4)


def _size_column(compared: ComparedStudies, place: int) -> Column:
    def cell(row: ComparedRow) -> str:
        size = row.sides[place].gzip_bytes
        return EMPTY if size is None else fixed(size / 1000, 1)

    return Column(f"{compared.studies[place].name}: gzip KB", cell)


def _difference_columns(compared: ComparedStudies, place: int) -> tuple[Column, ...]:
    """The loss of a study with its interval and n, and the samples that changed; without labels its likeness."""
    if not compared.labelled:
        return likeness_columns(compared, place)
    name, unit = compared.studies[place].name, ", points" if compared.unit == "pt" else ""

    def of(cell: Callable[[Loss], str]) -> Callable[[ComparedRow], str]:
        def text(row: ComparedRow) -> str:
            difference = row.sides[place].difference
            return EMPTY if difference is None else cell(difference.loss)

        return text

    return (
        Column(f"loss of {name}{unit} [95 %]", of(_with_interval)),
        Column("n", of(lambda loss: f"{loss.n:,}")),
        Column("became wrong / right", of(_changed)),
    )


def _with_interval(loss: Loss) -> str:
    digits = decimals_of(loss)
    value = fixed(loss.loss, digits)
    return f"{value} [{rounded_down(loss.lower, decimals=digits)}, {rounded_up(loss.upper, decimals=digits)}]"


def _changed(loss: Loss) -> str:
    return EMPTY if loss.changed is None else f"{loss.changed[0]:,}/{loss.changed[1]:,}"


def _notes(compared: ComparedStudies, row: ComparedRow) -> str:
    absent = [study.name for study, side in zip(compared.studies, row.sides, strict=True) if side.trial is None]
    notes = [f"not in {joined(absent)}"] if absent else []
    for study, side in zip(compared.studies, row.sides, strict=True):
        if side.trial is not None and side.trial.failure is not None:
            notes.append(f"failed in {study.name}: {side.trial.failure.reason}")
        if side.difference is not None and (few := carried_by_few(side.difference.loss)):
            notes.append(f"{study.name}: {few.removeprefix(', but ')}")
    return "; ".join(notes)


def _records(compared: ComparedStudies, row: ComparedRow) -> Iterator[CompareRow]:
    for place, (study, side) in enumerate(zip(compared.studies, row.sides, strict=True)):
        interval = _interval(compared, row, place)
        record = CompareRow(
            setting=row.setting,
            runtime=row.runtime,
            study=study.name,
            status="absent" if side.trial is None else side.trial.status,
            reason=_reason(side),
            metric=compared.metric,
            unit=compared.unit,
            value=side.value,
            value_lower=None if interval is None else interval.lower,
            value_upper=None if interval is None else interval.upper,
            size_bytes=side.size_bytes,
            gzip_bytes=side.gzip_bytes,
            n=study.study.samples.n,
        )
        first = compared.studies[0].name
        if side.likeness is not None:
            yield replace(record, **likeness_record(side.likeness, first))
        else:
            yield record if side.difference is None else _with(record, side.difference, first)


def _with(record: CompareRow, difference: Difference, against: str) -> CompareRow:
    loss, together = difference.loss, difference.together
    wrong, right = loss.changed or (None, None)
    return replace(
        record,
        against=against,
        loss=loss.loss,
        loss_lower=loss.lower,
        loss_upper=loss.upper,
        together_lower=together.lower,
        together_upper=together.upper,
        method=loss.method,
        became_wrong=wrong,
        became_right=right,
    )


def _reason(side: Side) -> str | None:
    return None if side.trial is None or side.trial.failure is None else side.trial.failure.reason


def _footer(compared: ComparedStudies) -> Iterator[str]:
    first = compared.studies[0]
    losses = [difference.loss for _, _, difference in compared.differences]
    if losses:
        order = (
            f"{first.name} − the other study" if losses[0].direction == "higher" else f"the other study − {first.name}"
        )
        unit = (
            f"in percentage points of {compared.metric}"
            if compared.unit == "pt"
            else f"in the unit of {compared.metric}"
        )
        yield (
            f"loss = {order}, {unit}; positive is worse; answers are compared sample by sample; 95 % interval: "
            f"{joined(list(dict.fromkeys(loss.method.partition(' without')[0] for loss in losses)))}"
        )
        if any(loss.changed for loss in losses):
            yield (
                f"became wrong / right: samples that are right in {first.name} and wrong in the other study / the "
                f"reverse"
            )
    yield from likeness_footer(compared)
    if any(_interval(compared, row, place) for row in compared.rows for place in range(len(row.sides))):
        yield f"{compared.metric} [95 %]: the interval of each study alone, from its own table"
    for one in compared.studies:
        samples, model = one.study.samples, one.study.model
        yield (
            f"{one.name}: {model.path} ({model.kind}); n = {counted(samples.n, 'sample')} of {samples.source}, "
            f"{samples.drawn}; SHA-256 {samples.sha256[:12]}"
        )
    if compared.labelled and any(_left_out(one) for one in compared.studies):
        yield (
            "Samples on which a model is NaN or infinite are left out of its own table, and count here: a class that "
            "is NaN is wrong, and an error is infinite"
        )


def _left_out(one: ComparedStudy) -> bool:
    return bool(one.study.reference.scores and one.study.reference.scores.left_out)
