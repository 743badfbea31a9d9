"""Runs steps on pictures in the children of their host: the pixels, or why there are none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import RuntimeUnavailable, TrialError
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


_MOST_ENDS = 3
"""Pictures one after another that end or hang the process, after which the rest is not tried."""


@dataclass(frozen=True, slots=True)
class Unprepared:
    """Why a step gave no pixels for a picture."""

    reason: str


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

        A picture on which the child ends or hangs costs only itself, up to three such pictures one after another.

        Returns:
            Key of a step → a result for each picture.

        Raises:
            RuntimeUnavailable: If the place is not installed.
            TrialError: If the child reports that it cannot run the steps at all.
            ChildDied: If the child ends before the first picture.
            ChildStalled: If it hangs before the first picture.
        """
        place = steps[0].place
        keys = {step.call: step.key for step in steps}
        results: dict[StepKey, list[Pixels | Unprepared]] = {step.key: [] for step in steps}
        self.environments.setdefault(place.name, place.environment())
        job = Job("", "", place.backend, 1, 0, 0, (), (), ExecutorOptions(), python.REFERENCE)
        first = ends = 0
        while first < len(pictures):
            target = self.folder / f"{place.name}.pixels"
            request = Prepare(job, tuple(pictures[first:]), tuple(keys), grey, str(target.absolute()))
            try:
                for key, result in self._answers(place, request, target, keys):
                    results[key].append(result)
                return results
            except (ChildDied, ChildStalled) as error:
                done = min(len(one) for one in results.values())
                if done == first == 0 and not any(results.values()):
                    # Whether the first picture or the program itself is to blame, the program tells alone.
                    self._check_alone(place, replace(request, pictures=()), target)
                ends = ends + 1 if done == first else 1
                first = done + 1
                _fill(results, first, f"the process ended while it worked on it ({describe(error)})")
            if ends == _MOST_ENDS:
                _fill(results, len(pictures), f"not tried, because {ends} pictures one after another ended the process")
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


def _fill(results: Mapping[StepKey, list[Pixels | Unprepared]], count: int, reason: str) -> None:
    """Give every step the same reason for its pictures up to a count that have no result."""
    for of_step in results.values():
        of_step.extend([Unprepared(reason)] * (count - len(of_step)))


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
