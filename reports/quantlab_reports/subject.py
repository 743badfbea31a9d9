"""A study with all that is kept of it, as charts and pages read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

from quantlab.formats import FORMATS, Format
from quantlab.gate import TARGETS, Target, name_of, recommend
from quantlab.store import TUNING, Store
from quantlab.types import Budget, Costs, Inside, Recommendation, SettingVerdict, Study, Trial, Tuning, Variant

__all__ = ["Subject"]

_Kept = TypeVar("_Kept")


@dataclass(frozen=True)  # no slots: what is derived from all settings is kept once it was computed
class Subject:
    """A study and what belongs to it; None where nothing was measured or decided."""

    store: Store
    study: Study
    name: str
    """The name of the study: its folder without `.study`."""
    target: Target
    """Decides which size counts."""
    recommendation: Recommendation | None = None
    """None without a budget."""
    costs: Costs | None = None
    inside: Inside | None = None
    tuning: Tuning | None = None
    formats: Mapping[str, Format] = field(default_factory=lambda: FORMATS)
    pictures: bool = True
    """Whether pages show pictures of samples."""

    @classmethod
    def of(
        cls,
        store: Store,
        budget: Budget | None = None,
        formats: Mapping[str, Format] = FORMATS,
        *,
        recommendation: Recommendation | None = None,
    ) -> Self:
        """Read a study, and judge it if there is a budget and it is not judged yet.

        Raises:
            UsageError: If a limit of the budget cannot be judged.
            StudyError: If the study is missing or damaged.
        """
        study = store.read_study()
        chosen = recommendation
        if chosen is None and budget is not None:
            chosen = recommend(store.root, budget)
        return cls(
            store,
            study,
            name_of(store.root),
            TARGETS["any" if budget is None else budget.target],
            chosen,
            _if_there(store.root / "costs.json", store.read_costs),
            _if_there(store.root / "inside.json", store.read_inside),
            _if_there(store.root / TUNING, store.read_tuning),
            formats,
        )

    @property
    def recommended(self) -> str | None:
        """The setting to ship; None if nothing fits or nothing was judged."""
        return None if self.recommendation is None else self.recommendation.setting

    @cached_property
    def about(self) -> SettingVerdict | None:
        """The setting that sections are about: the recommended one, if it is quantized and the verdict is that it fits.

        Otherwise it is the quantized setting that came closest, of those with the outcome of the verdict; None if
        nothing was judged, or no such setting.
        """
        if self.recommendation is None:
            return None
        verdict = self.recommendation.verdict
        outcome, name = verdict.outcome, verdict.recommended if verdict.fits else None
        of_outcome = [one for one in verdict.settings if one.outcome == outcome and one.quantized]
        recommended = [one for one in of_outcome if one.setting == name]
        return min(recommended or of_outcome, key=_distance, default=None)

    @property
    def shown(self) -> str | None:
        """Name of the setting that sections are about: that of `about`, or else the recommended one."""
        return self.recommended if self.about is None else self.about.setting

    @property
    def judged_runtimes(self) -> frozenset[str]:
        """The runtimes that count in the verdict; empty without one."""
        judged = () if self.recommendation is None else self.recommendation.verdict.settings
        return frozenset(one.runtime for setting in judged for one in setting.judgements)

    def size_of(self, variant: Variant | None) -> int | None:
        """The bytes that the target transfers; None if there is no artifact."""
        return None if variant is None else self.target.size_of(variant)

    def in_runtime(self, runtime: str) -> Self:
        """The same with the trials of one runtime alone."""
        trials = tuple(trial for trial in self.study.trials if trial.runtime == runtime)
        return replace(self, study=replace(self.study, trials=trials))

    def trials_of(self, setting: str) -> tuple[Trial, ...]:
        """The trials of a setting, in the order of the table."""
        return tuple(trial for trial in self.study.trials if trial.setting == setting)


def _distance(judged: SettingVerdict) -> tuple[float, float, int]:
    return judged.upper, judged.used, judged.size_bytes or 0


def _if_there(file: Path, read: Callable[[], _Kept]) -> _Kept | None:
    """What was read; None if it was not measured, and sections then name the command that measures it."""
    return read() if file.is_file() else None
