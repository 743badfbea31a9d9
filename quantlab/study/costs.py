"""Measures what each trial costs: one trial at a time, in rounds with a process for each; results are stored."""

import contextlib
import platform
import re
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from quantlab.errors import QuantlabError, TrialError
from quantlab.formats import Format
from quantlab.processes import usable_cores
from quantlab.progress import Progress
from quantlab.runtimes import Job, Runtime, TimingPlan, protocol
from quantlab.statistics import median_interval, over_rounds, speed_note, steady_note, steady_times
from quantlab.store import key_of
from quantlab.study.context import read_kept
from quantlab.study.copies import opened_artifact
from quantlab.study.inside.sessions import SessionInputs
from quantlab.study.side_by_side import side_by_side
from quantlab.types import Cost, Costs, Machine, Trial, Variant
from quantlab.types.messages import Failed, Message, Timed

__all__ = ["EXPECTED_SECONDS", "PHASE", "measure_costs", "this_machine"]

PHASE = "time"

_WAITING = 4
"""Number of processes that are started before the first of them loads its variant."""

EXPECTED_SECONDS = 0.8
"""Estimated time of a trial in a round: start of the process, warm-up and runs."""

_PLAN = TimingPlan()


def measure_costs(
    inputs: SessionInputs, trials: Sequence[Trial], *, rounds: int, machine: Machine | None = None
) -> Costs:
    """A row for every trial, from the store if nothing changed; nothing else of the study may run at the same time.

    All trials are timed once, then all again, as often as there are rounds. Several processes start at the same time
    and then wait. Nothing else runs while a variant is timed.

    A variant that could not be timed or run has a row with the reason. If a later round fails, the row keeps the rounds
    before and has a note.

    Args:
        inputs: The samples, and how variants are opened.
        trials: The rows.
        rounds: How often all are timed.
        machine: The device on which the runtimes of the trials are; None is this machine.
    """
    machine, progress, session = machine or this_machine(), inputs.context.progress, uuid.uuid4().hex[:12]
    rows: list[Cost | None] = [None] * len(trials)
    progress.work(PHASE, 0)
    for number in range(1, rounds + 1):
        timings = [
            _Timing(inputs, trial, machine, _Round(number, rounds, row, session))
            for trial, row in zip(trials, rows, strict=True)
        ]
        rows = []
        for first in range(0, len(timings), _WAITING):
            some = timings[first : first + _WAITING]
            # All at the same time: with two threads, one core would wait for the process that starts last.
            waiting = side_by_side(_Timing.prepare, some, at_once=_WAITING, stop=inputs.context.pool.close)
            rows += [time() for time in waiting]
    done = [row for row in rows if row is not None]
    formats = inputs.context.registries.formats
    return Costs(tuple(_noted(row, trial, done, formats) for row, trial in zip(done, trials, strict=True)), machine)


def _noted(row: Cost, trial: Trial, rows: Sequence[Cost], formats: Mapping[str, Format]) -> Cost:
    """The row with notes on its memory and times, and compared with the float32 baseline in the same runtime."""
    name = trial.variant.float32 if trial.variant else None
    baseline = next((other for other in rows if other.setting == name and other.ran_on == row.ran_on), None)
    compared = speed_note(row, baseline) if baseline is not None and baseline is not row else None
    decodes = _decodes(trial.variant, formats) if trial.variant and row.reason is None else None
    return replace(row, notes=tuple(note for note in (*row.notes, decodes, compared, steady_note(row)) if note))


def _decodes(variant: Variant, formats: Mapping[str, Format]) -> str | None:
    """A remark if a variant takes memory for kernels that it decodes; they count as held at the same time."""
    taken = formats[variant.format].decoded_bytes(variant.path)
    return f"decodes kernels in each call, which takes up to {taken / 1e3:,.1f} KB" if taken else None


@dataclass(frozen=True, slots=True)
class _Round:
    """A round of timing, and the row of the trial after the round before; None in the first."""

    number: int
    of: int
    before: Cost | None
    session: str
    """See `SteadyTimes.session`."""


@dataclass(frozen=True, slots=True)
class _Timing:
    """One trial to be timed in one round.

    Its process may start at any time, but nothing else runs while its variant is timed.
    """

    inputs: SessionInputs
    trial: Trial
    machine: Machine
    round: _Round

    @property
    def _step(self) -> str:
        again = f", round {self.round.number} of {self.round.of}" if self.round.number > 1 else ""
        return f"time {self.trial.setting} in {self.trial.runtime}{again}"

    @property
    def _runtime(self) -> Runtime:
        """Where the trial really ran."""
        return self.inputs.context.registries.runtimes[str(self.trial.ran_on)]

    @property
    def _progress(self) -> Progress:
        return self.inputs.context.progress

    def prepare(self) -> Callable[[], Cost]:
        """Start a process that waits, if one is needed; return the function that measures the trial's row."""
        trial, variant, before = self.trial, self.trial.variant, self.round.before
        if before is not None and len(before.rounds) != self.round.number - 1:
            return partial(self._skipped, before)  # it failed before, or a later round is kept
        row = before or Cost(
            trial.setting, trial.runtime, variant.sha256 if variant else "", self.machine, trial.ran_on
        )
        if variant is None or trial.ran_on is None or trial.failure is not None:
            reason = trial.failure.reason if trial.failure else "it was not run"
            return partial(self._skipped, replace(row, reason=f"the trial failed: {reason}"))
        if (untimed := self._runtime.untimed(trial.environment)) is not None:
            return partial(self._skipped, replace(row, reason=untimed))
        again = f"{trial.setting} is timed again in {trial.runtime}"
        kept = None if before else read_kept(self.inputs.context, self._file(variant), Cost, again)
        if kept is not None:
            return partial(self._kept, kept)
        self._progress.begin(self._step)
        try:
            messages = self._started(variant)
        except QuantlabError as error:
            return partial(self._failed, row, error)
        return partial(self._measured, row, variant, messages)

    def _skipped(self, row: Cost) -> Cost:
        self._progress.skip(PHASE, 1)
        return row

    def _kept(self, row: Cost) -> Cost:
        self._progress.begin(self._step)
        self._progress.skip(PHASE, 1)
        self._progress.end(self._step, "kept")
        return row

    def _started(self, variant: Variant) -> Generator[Message, None, None]:
        """Messages of a new process that has started and waits until it is told to measure."""
        messages = protocol.time(self._runtime, self._job(variant), _PLAN, self.inputs.context.pool)
        next(messages)
        return messages

    def _measured(self, row: Cost, variant: Variant, messages: Generator[Message, None, None]) -> Cost:
        self._progress.begin(self._step)  # announced again, because its own turn begins now
        try:
            cost = _with_round(row, _timed(messages), self.round.session)
        except QuantlabError as error:
            return self._failed(row, error)
        self.inputs.context.store.write(self._file(variant), cost)
        self._progress.work(PHASE, 1)
        self._progress.end(self._step, "done")
        return cost

    def _failed(self, row: Cost, error: QuantlabError) -> Cost:
        """A row with the failure; it is not stored, so the next call tries again."""
        self._progress.skip(PHASE, 1)
        self._progress.end(self._step, str(error))
        if not row.rounds:
            return replace(row, reason=str(error))
        failed = f"timed in {len(row.rounds)} of {self.round.of} rounds: {error}"
        return replace(row, notes=(*row.notes, failed))

    def _job(self, variant: Variant) -> Job:
        """The job that is timed: the first sample only."""
        artifact = opened_artifact(self.inputs.context, variant, self._runtime).path
        job = self.inputs.variant_job(variant, artifact)
        return replace(job, batch_size=1, stop=1)

    def _file(self, variant: Variant) -> Path:
        key = key_of(
            {
                "artifact": variant.sha256,
                "runtime": self.trial.ran_on,
                "environment": dict(self.trial.environment),
                "samples": self.inputs.samples.sha256,
                "machine": asdict(self.machine),
                "plan": asdict(_PLAN),
            }
        )
        return self.inputs.context.store.root / "costs" / self.trial.setting / self.trial.runtime / f"{key}.json"


def _timed(messages: Generator[Message, None, None]) -> Timed:
    """The times that a child measured."""
    with contextlib.closing(messages):
        for message in messages:
            if isinstance(message, Failed):
                raise TrialError(message.reason)
            if isinstance(message, Timed):
                return message
    raise TrialError("the process ended without reporting times")


def _with_round(row: Cost, said: Timed, session: str) -> Cost:
    """The row with one more round; load time, first run and memory are those of the first."""
    if not row.rounds:
        row = replace(
            row,
            load_ms=said.load_ms,
            first_run_ms=said.first_run_ms,
            peak_memory_bytes=said.peak_memory_bytes,
            idle_memory_bytes=said.idle_memory_bytes,
            memory_reason=said.memory_reason,
        )
    rounds = (*row.rounds, replace(steady_times(said.runs_ms), session=session))
    times, interval = over_rounds(rounds), median_interval([one.median_ms for one in rounds])
    return replace(
        row,
        rounds=rounds,
        runs=times.runs,
        steady_median_ms=times.median_ms,
        steady_median_lower_ms=interval.lower if interval else None,
        steady_median_upper_ms=interval.upper if interval else None,
        steady_median_coverage=interval.coverage if interval else None,
        steady_fastest_ms=times.fastest_ms,
        steady_q1_ms=times.q1_ms,
        steady_q3_ms=times.q3_ms,
        steady_p95_ms=times.p95_ms,
    )


def this_machine() -> Machine:
    """The machine on which times are measured, as shown in reports."""
    return Machine(_cpu(), usable_cores(), f"{platform.system()} {platform.machine()}")


def _cpu() -> str:
    with contextlib.suppress(OSError):
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        if match:
            return match[1].strip()
    return platform.processor() or platform.machine()
