"""The verdict about the settings of a study, and the recommendation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from quantlab.types.budget import Budget
from quantlab.types.looks import LookRule
from quantlab.types.notebooks import InNotebooks
from quantlab.types.paired import ClassLoss, Evidence, Loss
from quantlab.types.trial import Trial

__all__ = [
    "SEVERITY",
    "SIMILAR_SIZE",
    "Judgement",
    "Outcome",
    "Recommendation",
    "SettingVerdict",
    "SeveralSettings",
    "TrialEvidence",
    "Verdict",
]

Outcome = Literal["fits", "breaks", "inconclusive"]

SEVERITY: Mapping[Outcome, int] = {"fits": 0, "inconclusive": 1, "breaks": 2}
"""Severity order: the most severe outcome wins."""


@dataclass(frozen=True, slots=True)
class TrialEvidence:
    """A trial with its paired statistics, which are None if it could not be measured."""

    trial: Trial
    evidence: Evidence | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The decision about one setting in one runtime."""

    setting: str
    runtime: str
    outcome: Outcome
    reason: str
    """The deciding fact with its figures, as a clause."""
    n: int = 0
    loss: Loss | None = None
    margin: float | None = None
    """The allowed loss, in the unit of `loss`."""
    missing: int | None = None
    """Additional samples needed for a decision; None unless inconclusive, or if no number of samples would decide."""
    missing_groups: int | None = None
    """Additional groups of samples needed for a decision, if samples are in groups; otherwise None."""
    used: float | None = None
    """How much of the allowed error the output figure nearest to its limit uses, see `OutputFigure.used`; None if the
    budget limits no such figure."""


@dataclass(frozen=True, slots=True)
class SettingVerdict:
    """The decisions about one setting, in every runtime that counts."""

    setting: str
    quantized: bool
    size_bytes: int | None
    """Download size, compressed as the target transfers files; None if the conversion failed."""
    judgements: tuple[Judgement, ...]
    """One decision per runtime; at least one."""

    @property
    def deciding(self) -> Judgement:
        """The judgement with the most severe outcome; among equals, the one with the highest upper loss bound.

        Without losses, it is the one whose outputs use most of the allowed error.
        """
        return max(
            self.judgements,
            key=lambda judgement: (
                SEVERITY[judgement.outcome],
                _upper(judgement),
                judgement.used or 0.0,
                judgement.missing or 0,
            ),
        )

    @property
    def outcome(self) -> Outcome:
        """The most severe outcome: one runtime that breaks the budget is enough to reject the setting."""
        return self.deciding.outcome

    @property
    def reason(self) -> str:
        """Reason of the deciding judgement."""
        return self.deciding.reason

    @property
    def upper(self) -> float:
        """Highest upper bound of the loss over all runtimes; infinite if unknown."""
        return max(_upper(judgement) for judgement in self.judgements)

    @property
    def used(self) -> float:
        """How much of the allowed error of the outputs is used, over all runtimes; 0 without such a limit."""
        return max(judgement.used or 0.0 for judgement in self.judgements)


SIMILAR_SIZE = 1.05
"""Sizes of a smaller ratio count as equal: their difference is worth less than a lower bound of the loss."""


def _size(judged: SettingVerdict) -> float:
    return judged.size_bytes or math.inf


def _upper(judgement: Judgement) -> float:
    loss = judgement.loss
    return math.inf if loss is None or math.isnan(loss.upper) else loss.upper


@dataclass(frozen=True, slots=True)
class SeveralSettings:
    """What keeps the confidence of a verdict if any one of several settings may be shipped.

    Without it, the setting that was only lucky would be found among many: of nine settings that all lose just as much
    as the margin, one would seem to fit in a third of all cases.
    """

    order: tuple[str, ...]
    """The settings among which one is chosen; in a fixed sequence, in the order in which they are judged."""
    confidence: float
    """One-sided confidence of each bound: that of the budget in a fixed sequence, otherwise by Bonferroni."""
    ordered: bool = True
    """Whether they are judged in a fixed sequence, up to the first that does not fit."""
    stopped_at: str | None = None
    """The setting at which the sequence stopped; None if it did not stop."""
    passed_over: tuple[str, ...] = ()
    """Settings that the sequence passed over, because they surely break or were not run."""

    @property
    def rule(self) -> str:
        """Name of the rule: `fixed sequence` or `Bonferroni`."""
        return "fixed sequence" if self.ordered else "Bonferroni"


@dataclass(frozen=True, slots=True)
class Verdict(InNotebooks):
    """The decision about a study."""

    study: str
    """Name of the study: its folder name without `.study`."""
    budget: Budget
    settings: tuple[SettingVerdict, ...]
    """The settings that were judged, in table order."""
    named: bool
    """Whether settings were selected by name: then all of them must fit; otherwise one quantized setting is enough."""
    untested: tuple[str, ...] = ()
    """Formats and runtimes of the target that the study did not run, in words."""
    several: SeveralSettings | None = None
    """What keeps the confidence although one of several settings is chosen; None if they are named, or there is one."""
    look: LookRule | None = None
    """By which rule the samples are judged, given the looks before; None if looks are not recorded."""
    warnings: tuple[str, ...] = ()
    """Warnings of the study, shown first: a decision about a broken conversion is not meaningful."""

    @property
    def recommended(self) -> str | None:
        """The smallest setting that fits in every runtime that counts, float32 included; None if none fits.

        Of the settings whose sizes differ from the smallest by less than 5 %, it is the one with the lowest upper bound
        of the loss; without losses, the one whose outputs use least of the allowed error.
        """
        fitting = [judged for judged in self.settings if judged.outcome == "fits"]
        smallest = min((_size(judged) for judged in fitting), default=math.inf)
        alike = [judged for judged in fitting if _size(judged) <= smallest or _size(judged) < SIMILAR_SIZE * smallest]
        best = min(alike, key=lambda judged: (judged.upper, judged.used, _size(judged)), default=None)
        return best.setting if best else None

    @property
    def smaller_with_higher_bound(self) -> tuple[str, ...]:
        """The settings that fit and are smaller than the recommended one, by less than 5 %."""
        limit = _size(self.of(self.recommended)) if self.recommended else 0
        return tuple(judged.setting for judged in self.settings if judged.outcome == "fits" and _size(judged) < limit)

    @property
    def lacks_samples(self) -> bool:
        """Whether only more samples are needed: no setting breaks the budget, and every runtime that counts was run."""
        counted = [judged for judged in self.settings if self.named or judged.quantized]
        undecided = [judged for judged in counted if judged.outcome == "inconclusive"]
        return bool(counted) and all(judgement.n for judged in undecided for judgement in judged.judgements)

    @property
    def outcome(self) -> Outcome:
        """The outcome of the study; see `named` for how the settings' outcomes are combined."""
        outcomes: list[Outcome] = [judged.outcome for judged in self.settings if self.named or judged.quantized]
        if not outcomes:
            return "inconclusive"
        order = sorted(outcomes, key=SEVERITY.__getitem__)
        return order[-1] if self.named else order[0]

    @property
    def fits(self) -> bool:
        """Whether the budget is met."""
        return self.outcome == "fits"

    def of(self, setting: str) -> SettingVerdict:
        """The decision about one setting.

        Raises:
            KeyError: If the setting was not judged.
        """
        for judged in self.settings:
            if judged.setting == setting:
                return judged
        raise KeyError(setting)

    def explain(self) -> str:
        """One line per setting and one for the study; use as `assert verdict.fits, verdict.explain()`."""
        width = max((len(judged.setting) for judged in self.settings), default=0)
        lines = [f"{judged.setting:{width}}  {judged.outcome.upper():12}  {judged.reason}" for judged in self.settings]
        return "\n".join([*lines, f"{self.study}: {self.outcome}"])


@dataclass(frozen=True, slots=True)
class Recommendation(InNotebooks):
    """Which setting to ship, and why not the others."""

    verdict: Verdict
    reasons: Mapping[str, str]
    """Other judged settings → why each is not recommended, as a clause."""
    front: tuple[str, ...]
    """The Pareto front: settings for which no other setting is both smaller and has a lower upper loss bound."""
    size_word: str
    """Word shown after a size: `gzipped`, `raw`, `on disk`."""
    share_of_float32: float | None = None
    """Size of the recommended setting divided by that of its format's float32 variant; None for the latter itself."""
    losing_classes: Mapping[str, tuple[ClassLoss, ...]] = field(default_factory=dict)
    """Setting → classes with a significant loss (after Holm's correction), in the runtime with most such classes."""
    no_faster: str | None = None
    """That the recommended setting is slower than float32, or not shown to be faster, and why, as a clause; None if it
    is faster, or was not timed."""
    minimum_runtime: str | None = None
    """Oldest TFLite runtime version that runs the recommended setting; None if its format records none."""
    reproduce: str | None = None
    """Command or code that produces the recommended setting with the official tools."""
    baselines: tuple[SettingVerdict, ...] = ()
    """The float32 baselines that quantlab added and that fit; empty if a judged setting fits."""
    try_next: tuple[str, ...] = ()
    """Settings to analyze next, with more bits for each weight; empty if a quantized setting fits."""

    @property
    def setting(self) -> str | None:
        """The setting to ship; None if nothing fits."""
        return self.verdict.recommended

    def explain(self) -> str:
        """The recommendation, then the reason against each other setting; one line each."""
        first = f"ship {self.setting}" if self.setting else f"nothing fits: {self.verdict.outcome}"
        others = [f"{judged.setting}, the float32 baseline: {judged.reason}" for judged in self.baselines]
        following = [f"try next: {', '.join(self.try_next)}"] if self.try_next else []
        return "\n".join([first, *(f"{name}: {reason}" for name, reason in self.reasons.items()), *others, *following])
