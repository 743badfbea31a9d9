"""The view of costs: sizes, load time, run time and memory of every trial.

JSON and CSV rows have the fields of `CostRow` as keys. A value is null if it was not measured, and `reason` or
`memory_reason` says why.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from quantlab.names import joined
from quantlab.types import Cost, Costs, Study, Trial
from quantlab_reports.figures import EMPTY, number
from quantlab_reports.model import NOTES, Column, RowView, Selection, Table
from quantlab_reports.views.cells import figure, scaled, smallest_first, text

__all__ = ["COSTS", "CostRow", "cost_rows", "cost_table", "interval_of_rounds"]


@dataclass(frozen=True, slots=True)
class CostRow:
    """The costs of one trial: sizes of its variant, and time and memory on one machine."""

    setting: str
    """Name of the setting or of a given variant."""
    runtime: str
    """The requested runtime."""
    size_bytes: int | None
    """Bytes of all files that must be served."""
    gzip_bytes: int | None
    """The same after gzip at level 9, each file by itself."""
    brotli_bytes: int | None
    """The same after brotli at quality 11, or 9 for more than 16 MB in total."""
    minimum_runtime: str | None
    """Oldest TFLite version that can run the file, as its converter wrote it; null if unknown."""
    load_ms: float | None
    """Milliseconds from the files to a variant that can be called, measured once."""
    first_run_ms: float | None
    """Milliseconds of the first call, measured once."""
    steady_median_ms: float | None
    """Median milliseconds of a call after the warm-up; the median over the rounds."""
    steady_median_lower_ms: float | None
    """Lower end of the interval of the median, by order statistics of the rounds; null with one round."""
    steady_median_upper_ms: float | None
    """Upper end of the same."""
    steady_median_coverage: float | None
    """Probability with which the interval contains the median: 0.75 with three rounds."""
    rounds: int
    """Number of rounds, each in a process of its own; 0 in studies of an older quantlab."""
    steady_p95_ms: float | None
    """95th percentile of the same; null for fewer than 20 calls."""
    steady_q1_ms: float | None
    """First quartile of the same."""
    steady_q3_ms: float | None
    """Third quartile of the same."""
    steady_fastest_ms: float | None
    """Fastest call after the warm-up, the time least affected by other load."""
    runs: int
    """Number of timed calls after the warm-up."""
    batch: int
    """Number of samples in each call."""
    median_to_float32: float | None
    """`steady_median_ms` divided by that of the format's float32 variant in the same runtime."""
    peak_memory_bytes: int | None
    """Maximum memory of the process, up to the last call."""
    idle_memory_bytes: int | None
    """Maximum memory of the process before it loads the variant."""
    own_memory_bytes: int | None
    """Memory added by loading and running the variant."""
    memory_reason: str | None
    """Why there is no memory; otherwise null."""
    reason: str | None
    """Why nothing was timed; otherwise null."""
    notes: tuple[str, ...]
    """Notes about the times."""
    machine: str
    """The machine on which the times were measured."""


def cost_rows(study: Study, costs: Costs) -> list[CostRow]:
    """Return a row for every trial; a trial without measured costs has a reason."""
    known = {(cost.setting, cost.runtime, cost.sha256): cost for cost in costs.rows}
    paired = [(trial, known.get((trial.setting, trial.runtime, _sha256(trial)))) for trial in study.trials]
    medians = _float32_medians(paired)
    return [_row(trial, cost or _unmeasured(trial, costs), medians) for trial, cost in paired]


def _sha256(trial: Trial) -> str:
    return trial.variant.sha256 if trial.variant else ""


def _unmeasured(trial: Trial, costs: Costs) -> Cost:
    reason = "the study has no costs; run 'quantlab analyze' again without --no-costs"
    return Cost(trial.setting, trial.runtime, _sha256(trial), costs.machine, reason=reason)


Medians = Mapping[tuple[str, str | None], float | None]
"""Format and runtime → median time of the float32 variant."""


def _float32_medians(paired: Sequence[tuple[Trial, Cost | None]]) -> Medians:
    return {
        (trial.variant.format, cost.ran_on): cost.steady_median_ms
        for trial, cost in paired
        if cost is not None and trial.variant is not None and trial.is_float32
    }


def _row(trial: Trial, cost: Cost, medians: Medians) -> CostRow:
    variant = trial.variant
    base = medians.get((variant.format, cost.ran_on)) if variant else None
    median = cost.steady_median_ms
    return CostRow(
        setting=trial.setting,
        runtime=trial.runtime,
        size_bytes=variant.size_bytes if variant else None,
        gzip_bytes=variant.gzip_bytes if variant else None,
        brotli_bytes=variant.brotli_bytes if variant else None,
        minimum_runtime=variant.minimum_runtime if variant else None,
        load_ms=cost.load_ms,
        first_run_ms=cost.first_run_ms,
        steady_median_ms=median,
        steady_median_lower_ms=cost.steady_median_lower_ms,
        steady_median_upper_ms=cost.steady_median_upper_ms,
        steady_median_coverage=cost.steady_median_coverage,
        rounds=len(cost.rounds),
        steady_p95_ms=cost.steady_p95_ms,
        steady_q1_ms=cost.steady_q1_ms,
        steady_q3_ms=cost.steady_q3_ms,
        steady_fastest_ms=cost.steady_fastest_ms,
        runs=cost.runs,
        batch=cost.batch,
        median_to_float32=median / base if median is not None and base else None,
        peak_memory_bytes=cost.peak_memory_bytes,
        idle_memory_bytes=cost.idle_memory_bytes,
        own_memory_bytes=cost.own_memory_bytes,
        memory_reason=cost.memory_reason,
        reason=cost.reason,
        notes=cost.notes,
        machine=cost.machine.text,
    )


def _notes(row: CostRow) -> str:
    failed = [f"not measured: {row.reason}"] if row.reason else []
    return "; ".join([*failed, *([row.memory_reason] if row.memory_reason else []), *row.notes])


def _median(row: CostRow) -> str:
    median = number(row.steady_median_ms)
    if row.steady_median_lower_ms is None or row.steady_median_upper_ms is None:
        return median
    return f"{median} [{number(row.steady_median_lower_ms)}, {number(row.steady_median_upper_ms)}]"


COSTS = RowView(
    kind=CostRow,
    sorts={
        "size": smallest_first("size_bytes"),
        "gzip": smallest_first("gzip_bytes"),
        "brotli": smallest_first("brotli_bytes"),
        "load": smallest_first("load_ms"),
        "first": smallest_first("first_run_ms"),
        "median": smallest_first("steady_median_ms"),
        "p95": smallest_first("steady_p95_ms"),
        "memory": smallest_first("own_memory_bytes"),
    },
    columns=(
        Column("setting", text("setting"), numeric=False),
        Column("runtime", text("runtime"), numeric=False),
        Column("KB", scaled("size_bytes", 1e3)),
        Column("gzip KB", scaled("gzip_bytes", 1e3)),
        Column("brotli KB", scaled("brotli_bytes", 1e3)),
        Column("load ms", figure("load_ms")),
        Column("first run ms", figure("first_run_ms")),
        Column("median ms", _median),
        Column("p95 ms", figure("steady_p95_ms")),
        Column("time / float32", figure("median_to_float32", 2)),
        Column("runs", lambda row: f"{row.runs:,}" if row.runs else EMPTY),
        Column("peak MB", scaled("peak_memory_bytes", 1e6)),
        Column("added MB", scaled("own_memory_bytes", 1e6)),
        Column("TFLite version", lambda row: row.minimum_runtime or EMPTY, numeric=False),
        Column(NOTES, _notes, numeric=False),
    ),
)
"""The view of `quantlab show costs`."""


def interval_of_rounds(coverages: Iterable[float | None]) -> str:
    """What the intervals of medians are, in words; empty without any.

    >>> interval_of_rounds([0.75, 0.75]), interval_of_rounds([0.75, 0.9375]), interval_of_rounds([None])
    ('interval that contains it with 75 %', 'interval that contains it with 75 to 93.8 %', 'interval')

    Args:
        coverages: The probability with which each contains the median; None where it is not recorded.
    """
    every = list(coverages)
    known = sorted({coverage for coverage in every if coverage is not None})
    if not known:
        return "interval" if every else ""
    shown = [number(100 * coverage) for coverage in dict.fromkeys((known[0], known[-1]))]
    return f"interval that contains it with {' to '.join(shown)} %"


def cost_table(study: Study, costs: Costs, selection: Selection) -> Table:
    """Return the table of costs, with explanations below."""
    rows = cost_rows(study, costs)
    below = [*(f"! {note}" for note in costs.notes), *_reading(costs.machine.text, rows)]
    return COSTS.table(rows, selection, below)


def _reading(machine: str, rows: Sequence[CostRow]) -> list[str]:
    return [
        f"Measured on {machine}; do not use these times to compare phones",
        *_devices(machine, rows),
        "Each run takes one sample, on one thread, in a separate process, while nothing else of the study runs",
        *_intervals(rows),
        "load and first run: measured in the first round; the load time excludes the import of the runtime's library",
        "median and p95: of the later runs of each round, then the median over the rounds",
        "time / float32: median relative to the float32 variant of the format",
        "peak MB: memory of the whole process, in python with all libraries; added MB: memory added by this model",
    ]


def _devices(machine: str, rows: Sequence[CostRow]) -> list[str]:
    """A line for each machine that is not the one of the table: a phone that was asked for its own times."""
    others: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.machine != machine and row.steady_median_ms is not None:
            others.setdefault(row.machine, {})[row.runtime] = None
    return [
        f"{joined([*names])}: measured on {other}; these are times of that device, and may rank it"
        for other, names in others.items()
    ]


def _intervals(rows: Sequence[CostRow]) -> list[str]:
    """What the intervals of the median are, for each number of rounds; calls of one process are not independent."""
    coverages = {row.rounds: row.steady_median_coverage for row in rows if row.steady_median_coverage is not None}
    return [
        f"[…] of the median: from {rounds} rounds, each with a new process for every variant in turn; "
        f"contains the median with {number(100 * coverage)} %"
        for rounds, coverage in sorted(coverages.items())
    ]
