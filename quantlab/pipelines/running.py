"""Runs steps on pictures in the children of their host: the pixels, or why there are none."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import QuantlabError, RuntimeUnavailable, TrialError
from quantlab.pipelines.contract import AppStep, StepKey, StepPlace
from quantlab.processes import ChildDied, ChildPool, ChildStalled, describe
from quantlab.runtimes import Job, Picture, python
from quantlab.runtimes.protocol import ask
from quantlab.runtimes.requests import Prepare
from quantlab.types.executor_options import ExecutorOptions
from quantlab.types.messages import Failed, Prepared, Ready

__all__ = ["Pixels", "StepRun", "Unprepared", "refuse_absent"]

Pixels = npt.NDArray[Any]
"""uint8 or float32 (height, width, channels), red first, values 0–255."""


@dataclass(frozen=True, slots=True)
class Unprepared:
    """Why a step gave no pixels for a picture."""

    reason: str


_MOST_STALLS = 3
"""Pictures one after another for which the time limit is waited; a step that never answers would take hours."""

_NOT_TRIED = Unprepared(f"not tried, because {_MOST_STALLS} pictures one after another took too long")


def _stalls(before: int, error: QuantlabError, *, again: bool) -> int:
    """Stalls one after another; `again` tells that no picture was done between this end and the last one."""
    if not isinstance(error, ChildStalled):
        return 0
    return before + 1 if again else 1


@dataclass(slots=True)
class StepRun:
    """Runs steps for one command; remembers what the programs say about themselves."""

    pool: ChildPool
    folder: Path
    """For pixels; files in it are overwritten."""
    environments: dict[str, dict[str, str]]
    """Name of a place → versions; filled while steps run."""

    def run(
        self, steps: Sequence[AppStep], pictures: Sequence[Picture], *, grey: bool
    ) -> dict[StepKey, list[Pixels | Unprepared]]:
        """Run steps of one place on all pictures.

        A picture on which the child ends, or sends nothing for too long, costs only itself. After the third of the
        latter one after another, the rest is not tried.

        Returns:
            Key of a step → a result for each picture.

        Raises:
            RuntimeUnavailable: If the place is not installed.
            TrialError: If the child reports that it cannot run the steps at all.
            ChildDied: If the child ends before the first picture.
            ChildStalled: If it sends nothing for too long before the first picture.
        """
        place = steps[0].place
        keys = {step.call: step.key for step in steps}
        results: dict[StepKey, list[Pixels | Unprepared]] = {step.key: [] for step in steps}
        self.environments.setdefault(place.name, place.environment())
        job = Job("", "", place.backend, 1, 0, 0, (), (), ExecutorOptions(), python.REFERENCE)
        first = stalls = 0
        while first < len(pictures):
            rest, before = pictures[first:], first
            target = self.folder / f"{place.name}.pixels"
            request = Prepare(job, tuple(rest), tuple(keys), grey, str(target.absolute()))
            try:
                for key, result in self._answers(place, request, target, keys):
                    results[key].append(result)
                return results
            except (ChildDied, ChildStalled) as error:
                done = min(len(one) for one in results.values())
                if done == first == 0 and not any(results.values()):
                    # Whether the first picture or the program itself is to blame, the program tells alone.
                    self._check_alone(place, replace(request, pictures=()), target)
                for one in results.values():
                    if len(one) == done:
                        one.append(Unprepared(f"the process ended while it worked on it ({describe(error)})"))
                first = done + 1
                stalls = _stalls(stalls, error, again=done == before)
                if stalls == _MOST_STALLS:
                    for one in results.values():
                        one.extend([_NOT_TRIED] * (len(pictures) - first))
                    return results
        return results

    def _check_alone(self, place: StepPlace, request: Prepare, target: Path) -> None:
        for _ in self._answers(place, request, target, {}):
            pass

    def _answers(
        self, place: StepPlace, request: Prepare, target: Path, keys: dict[str, StepKey]
    ) -> Iterator[tuple[StepKey, Pixels | Unprepared]]:
        target.unlink(missing_ok=True)
        for message in ask(place.host, request, self.pool):
            if isinstance(message, Failed):
                raise TrialError(message.reason)
            if isinstance(message, Ready):
                self.environments[place.name] |= message.environment
            if isinstance(message, Prepared):
                yield keys[message.step], _result(message, target)
        target.unlink(missing_ok=True)


def _result(message: Prepared, target: Path) -> Pixels | Unprepared:
    if message.reason is not None:
        return Unprepared(message.reason)
    count = int(np.prod(message.shape, dtype=np.int64))
    pixels = np.fromfile(target, np.dtype(message.dtype), count, offset=message.offset)
    return pixels.reshape(message.shape)


def refuse_absent(step: AppStep) -> None:
    """Check that what a step needs is installed.

    Raises:
        RuntimeUnavailable: If it is not; the message says what to do.
    """
    from importlib.util import find_spec

    step.place.environment()
    if step.module is not None and find_spec(step.module) is None:
        raise RuntimeUnavailable(
            f"{step.name} is not installed; install it with 'pip install {step.package}' to compare with it"
        )
