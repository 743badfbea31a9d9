"""How a study reports its progress, and a forecast of the time left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["BatchForecast", "Forecast", "OfModel", "Progress", "Silent"]


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

    @property
    def share_begun(self) -> float:
        """The same, but 0 if no phase is planned: the study has just begun."""
        return self.share_done if self._phases else 0.0


@dataclass(slots=True)
class BatchForecast:
    """Estimates the time left for several studies, some of them at the same time.

    Steps and phases have the name of their model in front, as `OfModel` writes it.
    """

    models: int
    """Number of models that are not made yet; one that turns out to be kept is subtracted."""
    now: Callable[[], float] = time.monotonic
    _studies: dict[str, Forecast] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)
    _began: float | None = None

    def begin(self, model: str) -> None:
        """Hear that a study begins."""
        self._began = self.now() if self._began is None else self._began
        # A new mapping, because another thread may just add up the shares.
        self._studies = {**self._studies, model: Forecast(self.now)}

    def end(self, model: str) -> None:
        """Hear that a model is done with."""
        if model in self._studies:
            self._made.add(model)
        else:
            self.models -= 1

    def plan(self, phase: str, units: int, unit_seconds: float | None = None, *, beside: str | None = None) -> None:
        """See `Progress.plan`."""
        model, own = _of_model(phase)
        self._studies[model].plan(own, units, unit_seconds, beside=beside)

    def work(self, phase: str, units: int) -> None:
        """See `Progress.work`."""
        model, own = _of_model(phase)
        self._studies[model].work(own, units)

    def skip(self, phase: str, units: int) -> None:
        """See `Progress.skip`."""
        model, own = _of_model(phase)
        self._studies[model].skip(own, units)

    @property
    def share_done(self) -> float:
        """Share of all models, each with the share of its study; 1 if there are none."""
        shares = [1.0 if model in self._made else study.share_begun for model, study in self._studies.items()]
        return sum(shares) / self.models if self.models else 1.0

    def seconds_left(self) -> float | None:
        """Return the seconds left if other models take as long as those before; None while too little is done.

        >>> clock = iter([0.0, 20.0])
        >>> forecast = BatchForecast(4, lambda: next(clock))
        >>> forecast.begin("keywords"); forecast.end("keywords"); forecast.seconds_left()
        60.0
        """
        share = self.share_done
        if self._began is None or share < _TELLING_SHARE_OF_MODELS:
            return None
        return (self.now() - self._began) * max(1 - share, 0.0) / share


_TELLING_SHARE_OF_MODELS = 0.1
"""Share of all models before which no time left is told: the first ones only start their processes."""

_BEHIND_MODEL = ": "


def _of_model(text: str) -> tuple[str, str]:
    model, _, own = text.partition(_BEHIND_MODEL)  # names of models have no colons
    return model, own


@dataclass(frozen=True, slots=True)
class OfModel:
    """The progress of one study among others: the name of its model is in front of all that it tells."""

    model: str
    told: Progress

    def plan(self, phase: str, units: int, unit_seconds: float | None = None, *, beside: str | None = None) -> None:
        """See `Progress.plan`."""
        self.told.plan(self._named(phase), units, unit_seconds, beside=beside)

    def begin(self, step: str, samples: int = 0) -> None:
        """See `Progress.begin`."""
        self.told.begin(self._named(step), samples)

    def advance(self, step: str, samples: int) -> None:
        """See `Progress.advance`."""
        self.told.advance(self._named(step), samples)

    def work(self, phase: str, units: int) -> None:
        """See `Progress.work`."""
        self.told.work(self._named(phase), units)

    def skip(self, phase: str, units: int) -> None:
        """See `Progress.skip`."""
        self.told.skip(self._named(phase), units)

    def end(self, step: str, outcome: str) -> None:
        """See `Progress.end`."""
        self.told.end(self._named(step), outcome)

    def warn(self, text: str) -> None:
        """See `Progress.warn`."""
        self.told.warn(text if text.startswith(self._named("")) else self._named(text))

    def _named(self, text: str) -> str:
        return f"{self.model}{_BEHIND_MODEL}{text}"


def _seconds_left(phase: _Phase, now: float) -> float | None:
    """Return the seconds left of one phase; None if its speed is unknown."""
    left = max(phase.units - phase.done, 0)
    if not left:
        return 0.0
    if phase.began is not None and phase.done >= _TELLING_SHARE * phase.units and phase.done:
        return (now - phase.began) * left / phase.done
    return None if phase.unit_seconds is None else phase.unit_seconds * left
