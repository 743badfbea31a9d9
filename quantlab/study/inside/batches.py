"""One batch of all trials: every child reads it, then all tensors are summed; even one trial keeps two cores busy.

A study of one trial has four children (for the reference, the float32 baseline, the trial, and its single nodes) and
about a hundred tensors. Each lane has a thread that waits for it, children outside of lanes share two threads, and two
threads sum.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy.typing as npt

from quantlab.errors import QuantlabError
from quantlab.processes import describe
from quantlab.runtimes.taps import Reading, TensorReader
from quantlab.study.inside.sums import Baselines, TrialSums
from quantlab.study.scores_only import scored_rows
from quantlab.study.side_by_side import result_of
from quantlab.types import PYTHON

__all__ = ["Batches"]

Array = npt.NDArray[Any]
Part = tuple[int, int]
"""Start and stop among the layer samples."""
Awaited = Future[Reading | str]
"""What a session read, or why it could not."""

_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """All sessions of a comparison. On exit, queued work is dropped; after Ctrl-C running threads are not awaited."""

    reference: TensorReader
    baselines: Mapping[str, TensorReader]
    """Setting → its session in Python, for variants that others are compared with; read once per batch."""
    trials: Sequence[TrialSums]
    float32: Sequence[str]
    """For each trial, the setting that is the float32 baseline of its format."""
    scored_output: str
    indices: Array
    """Indices of the layer samples among the scored samples."""
    _pools: dict[str, ThreadPoolExecutor] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        for pool in self._pools.values():
            pool.shutdown(wait=not interrupted, cancel_futures=True)

    def add(self, part: Part) -> None:
        """Read samples `part` in every child, and add them to every trial's sums.

        Raises:
            QuantlabError: If the reference cannot be read. Failures of a variant are stored in its trial.
        """
        steps = [
            step
            for sums, baselines in zip(self.trials, self._take(part), strict=True)
            if baselines is not None
            for step in sums.steps(baselines)
        ]
        threads = self._pool("sums", _AT_ONCE)
        for added in [threads.submit(step) for step in steps]:
            result_of(added)

    def _take(self, part: Part) -> list[Baselines | None]:
        """Pass each trial its reading, and return its baselines; None if it cannot be compared."""
        expected = self._pool_of(self.reference).submit(self.reference.read, *part)
        awaited = {name: self._read(session, part) for name, session in self.baselines.items()}
        own, alone = [], []
        for sums in self.trials:
            own.append(self._own(sums, awaited, part))
            alone.append(self._read(sums.isolated, part) if sums.isolated and sums.unreadable is None else None)
        reference = result_of(expected)
        in_python = {name: result_of(reading) for name, reading in awaited.items()}
        for sums, reading, isolated in zip(self.trials, own, alone, strict=True):
            if reading is not None:
                measured = scored_rows(sums.trial, self.scored_output, self.indices[slice(*part)])
                sums.take(result_of(reading), result_of(isolated) if isolated else None, measured)
        return [
            _baselines(sums, reference, in_python, float32=name) if sums.unreadable is None else None
            for sums, name in zip(self.trials, self.float32, strict=True)
        ]

    def _own(self, sums: TrialSums, baselines: Mapping[str, Awaited], part: Part) -> Awaited | None:
        """The reading of a trial itself; shared if it is also a baseline of others."""
        if sums.unreadable is not None:
            return None
        if sums.trial.runtime == PYTHON and sums.trial.setting in baselines:
            return baselines[sums.trial.setting]
        return self._read(sums.session, part)

    def _read(self, session: TensorReader, part: Part) -> Awaited:
        return self._pool_of(session).submit(_reading, session, part)

    def _pool_of(self, session: TensorReader) -> ThreadPoolExecutor:
        """One thread per lane: with shared threads, a worker could be idle while they wait for another lane."""
        return self._pool(session.lane.kind, 1) if session.lane else self._pool("processes", _AT_ONCE)

    def _pool(self, name: str, threads: int) -> ThreadPoolExecutor:
        if name not in self._pools:
            self._pools[name] = ThreadPoolExecutor(threads)
        return self._pools[name]


def _baselines(
    sums: TrialSums, reference: Reading, in_python: Mapping[str, Reading | str], *, float32: str
) -> Baselines | None:
    float32_baseline = in_python[float32]
    python_baseline = in_python.get(sums.trial.setting) if sums.has_python_baseline else None
    if isinstance(float32_baseline, str):
        sums.give_up(f"could not read inside {float32} in python: {float32_baseline}")
        return None
    if isinstance(python_baseline, str):
        sums.lose_python_baseline(f"could not read inside {sums.trial.setting} in python: {python_baseline}")
        python_baseline = None
    return Baselines(reference, float32_baseline, python_baseline)


def _reading(session: TensorReader, part: Part) -> Reading | str:
    try:
        return session.read(*part)
    except QuantlabError as error:
        return describe(error)
