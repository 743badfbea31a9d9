"""How a study reports its progress, and a forecast of the time left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Forecast", "Progress", "Silent"]


class Progress(Protocol):
    """Receives the progress of a study. Several threads may call it at the same time."""

    def plan(self, phase: str, units: int, unit_seconds: float | None = None, *, beside: str | None = None) -> None:
        """Announce a phase: its units of work, including kept ones, and the expected seconds for each unit.

        Units are settings (`convert`), samples over all trials (`run`, `look inside`) or rounds of trials (`time`).
        Without seconds, the forecast measures the time for each unit once a part of the phase is done. `beside` names a
        phase that goes on at the same time: of the two, the longer one counts. A phase may be announced again, with
        other figures, before it begins.
        """

    def begin(self, step: str, samples: int = 0) -> None:
        """Report that a step starts: opening the model, a conversion, or a trial with this number of samples."""

    def advance(self, step: str, samples: int) -> None:
        """Report more finished samples of a step."""

    def work(self, phase: str, units: int) -> None:
        """Report more finished units of a phase; 0 starts the clock of the phase."""

    def skip(self, phase: str, units: int) -> None:
        """Report units of a phase that need no work: they are kept from an earlier run, or cannot be done."""

    def end(self, step: str, outcome: str) -> None:
        """Report that a step ended; `outcome` is `done`, `kept` or the reason of the failure."""

    def warn(self, text: str) -> None:
        """Report something that the user should know at once."""


class Silent:
    """Ignores all progress."""

    def plan(self, phase: str, units: int, unit_seconds: float | None = None, *, beside: str | None = None) -> None:
        """Do nothing."""

    def begin(self, step: str, samples: int = 0) -> None:
        """Do nothing."""

    def advance(self, step: str, samples: int) -> None:
        """Do nothing."""

    def work(self, phase: str, units: int) -> None:
        """Do nothing."""

    def skip(self, phase: str, units: int) -> None:
        """Do nothing."""

    def end(self, step: str, outcome: str) -> None:
        """Do nothing."""

    def warn(self, text: str) -> None:
        """Do nothing."""


_TELLING_SHARE = 0.25
"""Share of a phase before which its speed is not used: the slowest trials run first."""


@dataclass(slots=True)
class _Phase:
    units: int
    unit_seconds: float | None
    group: str
    """Phases of the same group go on at the same time."""
    began: float | None = None
    done: int = 0


@dataclass(slots=True)
class Forecast:
    """Estimates the time left for all phases from the time that finished units took."""

    now: Callable[[], float] = time.monotonic
    _phases: dict[str, _Phase] = field(default_factory=dict)

    def plan(self, phase: str, units: int, unit_seconds: float | None = None, *, beside: str | None = None) -> None:
        """See `Progress.plan`."""
        self._phases[phase] = _Phase(units, unit_seconds, beside or phase)

    def work(self, phase: str, units: int) -> None:
        """See `Progress.work`."""
        if (known := self._phases.get(phase)) is not None:
            known.began = self.now() if known.began is None else known.began
            known.done += units

    def skip(self, phase: str, units: int) -> None:
        """See `Progress.skip`. Skipped units took no time, so they must not count as fast ones."""
        if (known := self._phases.get(phase)) is not None:
            known.units -= units

    def seconds_left(self) -> float | None:
        """Return the seconds left over all phases; None if no phase is planned or the speed of one is unknown.

        >>> clock = iter([0.0, 10.0])
        >>> forecast = Forecast(lambda: next(clock))
        >>> forecast.plan("run", 100); forecast.plan("time", 4, 1.5)
        >>> forecast.work("run", 0); forecast.work("run", 50)
        >>> forecast.seconds_left()
        16.0
        """
        if not self._phases:
            return None
        now = self.now()
        groups: dict[str, float] = {}
        for phase in self._phases.values():
            left = _seconds_left(phase, now)
            if left is None:
                return None
            groups[phase.group] = max(left, groups.get(phase.group, 0.0))
        return sum(groups.values())

    @property
    def share_done(self) -> float:
        """Share of finished units; every phase has the same weight. 1 if no phase is planned."""
        shares = [min(phase.done / phase.units, 1.0) for phase in self._phases.values() if phase.units]
        return sum(shares) / len(shares) if shares else 1.0


def _seconds_left(phase: _Phase, now: float) -> float | None:
    """Return the seconds left of one phase; None if its speed is unknown."""
    left = max(phase.units - phase.done, 0)
    if not left:
        return 0.0
    if phase.began is not None and phase.done >= _TELLING_SHARE * phase.units and phase.done:
        return (now - phase.began) * left / phase.done
    return None if phase.unit_seconds is None else phase.unit_seconds * left
