"""One batch of all trials: every child reads it, then every tensor is summed; two threads are busy to the end of each.

A study of one trial has four children to ask, the reference's, the float32 variant's, its own and that of its nodes by
themselves, and some hundred tensors to sum; so the second core never waits for the first, however few trials there are.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import QuantlabError
from quantlab.processes import describe
from quantlab.runtimes.taps import Reading, Session
from quantlab.study._layer_sums import Baselines, TrialSums

__all__ = ["Batches"]

Array = npt.NDArray[Any]
Part = tuple[int, int]
"""Start and stop among the layer samples."""
_Read = Future[Reading | str]


@dataclass(frozen=True, slots=True)
class Batches:
    """All sessions of a comparison."""

    reference: Session
    twins: Mapping[str, Session]
    """Setting → its session in Python, for those that others are compared with; each is read once a batch."""
    trials: Sequence[TrialSums]
    originals: Sequence[str]
    """Of each trial, the setting that is float32 in its format."""
    scored_output: str
    indices: Array
    """Where the layer samples stand among those that are scored."""

    def add(self, pool: ThreadPoolExecutor, part: Part) -> None:
        """Read some samples in every child, and add them to every trial's sums.

        Raises:
            QuantlabError: If the reference cannot be read; what goes wrong elsewhere is the trial's own.
        """
        steps = [
            step
            for each, baselines in zip(self.trials, self._take(pool, part), strict=True)
            if baselines is not None
            for step in each.steps(baselines)
        ]
        list(pool.map(_call, steps))

    def _take(self, pool: ThreadPoolExecutor, part: Part) -> list[Baselines | None]:
        """Give each trial what it held, and tell what it is compared with; None where it cannot be."""
        expected = pool.submit(self.reference.read, *part)
        twins = {name: pool.submit(_read, session, part) for name, session in self.twins.items()}
        own = [self._submit(pool, each, twins, part) for each in self.trials]
        alone = [
            pool.submit(_read, each.isolated, part) if each.isolated and each.unreadable is None else None
            for each in self.trials
        ]
        reference, in_python = expected.result(), {name: each.result() for name, each in twins.items()}
        return [
            self._baselines(each, original, reference, in_python)
            if self._taken(each, reading, isolated, part)
            else None
            for each, original, reading, isolated in zip(self.trials, self.originals, own, alone, strict=True)
        ]

    def _submit(
        self, pool: ThreadPoolExecutor, each: TrialSums, twins: Mapping[str, _Read], part: Part
    ) -> _Read | None:
        """Its own reading: one that others wait for too, or one more."""
        if each.unreadable is not None:
            return None
        if each.trial.runtime == "python" and each.trial.setting in twins:
            return twins[each.trial.setting]
        return pool.submit(_read, each.session, part)

    def _taken(self, each: TrialSums, reading: _Read | None, alone: _Read | None, part: Part) -> bool:
        if reading is None:
            return False
        measured = np.load(each.trial.outputs[self.scored_output], mmap_mode="r")[self.indices[slice(*part)]]
        each.take(reading.result(), alone.result() if alone else None, measured)
        return each.unreadable is None

    def _baselines(
        self, each: TrialSums, original: str, reference: Reading, in_python: Mapping[str, Reading | str]
    ) -> Baselines | None:
        float32, twin = in_python[original], in_python.get(each.trial.setting) if each.has_twin else None
        if isinstance(float32, str):
            each.give_up(f"could not read inside {original} in python: {float32}")
            return None
        if isinstance(twin, str):
            each.lose_twin(f"could not read inside {each.trial.setting} in python: {twin}")
            twin = None
        return Baselines(reference, float32, twin)


def _read(session: Session, part: Part) -> Reading | str:
    """What it held, or why it cannot be read."""
    try:
        return session.read(*part)
    except QuantlabError as error:
        return describe(error)


def _call(step: Callable[[], None]) -> None:
    step()
