"""How long work says where it is, to whoever wants to show it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Forecast", "Progress", "Silent"]


class Progress(Protocol):
    """Hears what a study does. Threads may call it at once."""

    def plan(self, phase: str, units: int, unit_seconds: float | None = None) -> None:
        """A phase will take so many units of work, kept ones included, and about so long a unit.

        The units are samples of all trials (`run`, `look inside`) or trials (`time`). Without seconds the phase tells
        by itself how long a unit takes, once a part of it is done.
        """

    def begin(self, step: str, samples: int = 0) -> None:
        """A step starts: opening, a conversion, or a trial of so many samples."""

    def advance(self, step: str, samples: int) -> None:
        """So many more samples of a step are done."""

    def work(self, phase: str, units: int) -> None:
        """So many more units of a phase are done; 0 starts its clock."""

    def skip(self, phase: str, units: int) -> None:
        """So many units of a phase need no work: they are kept from before, or cannot be done."""

    def end(self, step: str, outcome: str) -> None:
        """A step is over; `outcome` is `done`, `kept`, or why it failed."""

    def warn(self, text: str) -> None:
        """Something the user should know at once."""


class Silent:
    """Shows nothing."""

    def plan(self, phase: str, units: int, unit_seconds: float | None = None) -> None:
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
"""Of a phase: before that much is done its pace says nothing, since the slowest parts come first."""


@dataclass(slots=True)
class _Phase:
    units: int
    unit_seconds: float | None
    began: float | None = None
    done: int = 0


@dataclass(slots=True)
class Forecast:
    """How long all phases may still take, from what the parts that are done took."""

    now: Callable[[], float] = time.monotonic
    _phases: dict[str, _Phase] = field(default_factory=dict)

    def plan(self, phase: str, units: int, unit_seconds: float | None = None) -> None:
        """As `Progress.plan`."""
        self._phases[phase] = _Phase(units, unit_seconds)

    def work(self, phase: str, units: int) -> None:
        """As `Progress.work`."""
        if (known := self._phases.get(phase)) is not None:
            known.began = self.now() if known.began is None else known.began
            known.done += units

    def skip(self, phase: str, units: int) -> None:
        """As `Progress.skip`: what took no time must not make the rest look fast."""
        if (known := self._phases.get(phase)) is not None:
            known.units -= units

    def seconds_left(self) -> float | None:
        """The sum over all phases; None where none is planned, or one has not shown yet how long it takes.

        >>> clock = iter([0.0, 10.0])
        >>> forecast = Forecast(lambda: next(clock))
        >>> forecast.plan("run", 100); forecast.plan("time", 4, 1.5)
        >>> forecast.work("run", 0); forecast.work("run", 50)
        >>> forecast.seconds_left()
        16.0
        """
        if not self._phases:
            return None
        now = None
        total = 0.0
        for phase in self._phases.values():
            left = max(phase.units - phase.done, 0)
            if not left:
                continue
            if phase.began is not None and phase.done >= _TELLING_SHARE * phase.units and phase.done:
                now = self.now() if now is None else now
                total += (now - phase.began) * left / phase.done
            elif phase.unit_seconds is not None:
                total += phase.unit_seconds * left
            else:
                return None
        return total

    @property
    def share_done(self) -> float:
        """Of the units of all phases, each phase counting alike; 1 where nothing was planned."""
        shares = [min(phase.done / phase.units, 1.0) for phase in self._phases.values() if phase.units]
        return sum(shares) / len(shares) if shares else 1.0
