"""What the user is willing to lose, and what is decided about it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from quantlab.errors import UsageError
from quantlab.types.paired import ClassLoss, Evidence, Loss
from quantlab.types.trial import Trial

__all__ = [
    "SEVERITY",
    "Budget",
    "Judgement",
    "Margin",
    "Outcome",
    "Recommendation",
    "SettingVerdict",
    "TrialEvidence",
    "Verdict",
]

Outcome = Literal["fits", "breaks", "inconclusive"]

_UNITS = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
SEVERITY: Mapping[Outcome, int] = {"fits": 0, "inconclusive": 1, "breaks": 2}
"""Which of several outcomes is that of all."""


@dataclass(frozen=True, slots=True)
class Margin:
    """How much a metric may lose, with its unit."""

    value: float
    unit: Literal["pt", "%"]
    """`pt`: percentage points; `%`: of what the reference has."""

    @classmethod
    def parse(cls, text: str, *, of: str = "max_accuracy_loss") -> "Margin":
        """Read `0.5pt` or `0.5%`; a space between is let pass.

        >>> Margin.parse("0.5pt"), Margin.parse("2 %")
        (Margin(value=0.5, unit='pt'), Margin(value=2.0, unit='%'))

        Args:
            text: What the user wrote.
            of: What it is for, told in the error.

        Raises:
            UsageError: If there is no unit, no number, or the number is negative.
        """
        match = re.fullmatch(r"\s*([+-]?\d*\.?\d+)\s*(pt|%)?\s*", str(text))
        if match is None:
            raise UsageError(f"{of} '{text}' is no loss; write it as 0.5pt (percentage points) or 0.5% (relative)")
        number, unit = float(match[1]), match[2]
        if unit is None:
            raise UsageError(
                f"{of} '{text}' has no unit; {number:g}pt is {number:g} percentage points, "
                f"{number:g}% is relative to what the reference has"
            )
        if number < 0:
            raise UsageError(f"{of} '{text}' is negative, and a loss that may be allowed is 0 or more")
        return cls(number, "pt" if unit == "pt" else "%")

    def of(self, loss: Loss) -> float:
        """The margin in the unit of a metric's loss.

        Raises:
            UsageError: If points are asked of a metric that is no share, or a part of what is not above zero.
        """
        if self.unit == "pt" and loss.unit == "pt":
            return self.value
        if self.unit == "pt":
            raise UsageError(
                f"{self.value:g}pt are percentage points and the metric '{loss.metric}' is no share; "
                f"give the loss relative to the reference, as {self.value:g}%"
            )
        if not (loss.reference > 0 and math.isfinite(loss.reference)):
            raise UsageError(
                f"{self.value:g}% of the reference's {loss.metric} of {loss.reference:g} is no margin; "
                f"{'give points, as 0.5pt' if loss.unit == 'pt' else 'choose another metric'}"
            )
        return self.value / 100 * loss.reference

    def __str__(self) -> str:
        return f"{self.value:g}{self.unit}"


def _margin(value: "Margin | str | float | None", name: str) -> "Margin | None":
    return value if value is None or isinstance(value, Margin) else Margin.parse(str(value), of=name)


def _bytes(value: int | str | None) -> int | None:
    """Read `500KB`, `2 MiB` or a plain number of bytes."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        size = value
    else:
        match = re.fullmatch(r"\s*(\d*\.?\d+)\s*([KMG]i?B|B)?\s*", str(value))
        if match is None:
            raise UsageError(f"max_size '{value}' is no size; write it as 500KB, 2MB or 512KiB")
        size = int(float(match[1]) * _UNITS[match[2] or "B"])
    if size is not None and size < 1:
        raise UsageError(f"max_size '{value}' leaves no room for a file; give a size above 0, as 500KB")
    return size


def _percent(value: float | str | None) -> float | None:
    """Read `99%`."""
    if value is None or isinstance(value, float):
        if value is not None and not 1 < value <= 100:
            raise UsageError(f"min_agreement {value:g} is no share in percent; write 99 % as 99%")
        return value
    match = re.fullmatch(r"\s*(\d*\.?\d+)\s*%\s*", str(value))
    if match is None or float(match[1]) > 100:
        raise UsageError(f"min_agreement '{value}' is no share; write it in percent, as 99%")
    return float(match[1])


@dataclass(frozen=True, slots=True)
class Budget:
    """What the user is willing to lose, and where.

    Texts are read when it is made: `Budget(max_accuracy_loss="0.5pt", max_size="500KB", min_agreement="99%")`.

    Raises:
        UsageError: If a text cannot be read, or the budget contradicts itself.
    """

    max_accuracy_loss: Margin | str | None = None
    """Of the metric, with its unit: `0.5pt` (points) or `0.5%` (relative to the reference)."""
    max_class_loss: Margin | str | None = None
    """Of the accuracy of every single class, in points."""
    max_size: int | str | None = None
    """Largest download size that is allowed, as the target transfers files: `500KB`."""
    min_agreement: float | str | None = None
    """Percent of samples on which the variant says what the reference says: `99%`."""
    confidence: float = 0.95
    """One-sided: how sure the bounds are that decide."""
    metric: str | None = None
    """A name of `PAIRED_METRICS` or `module:function:higher|lower`; None is the study's own."""
    target: str = "any"
    """`web`, `web-mobile`, `node`, `android` or `any`: the formats, runtimes and size that count."""
    runtimes: tuple[str, ...] | None = None
    """Names and globs of the runtimes that count; None is those of the target."""

    def __post_init__(self) -> None:
        for name, value in (
            ("max_accuracy_loss", _margin(self.max_accuracy_loss, "max_accuracy_loss")),
            ("max_class_loss", _margin(self.max_class_loss, "max_class_loss")),
            ("max_size", _bytes(self.max_size)),
            ("min_agreement", _percent(self.min_agreement)),
        ):
            object.__setattr__(self, name, value)
        if isinstance(self.runtimes, str):
            object.__setattr__(self, "runtimes", tuple(runtime.strip() for runtime in self.runtimes.split(",")))
        self._check()

    def _check(self) -> None:
        if isinstance(self.confidence, bool) or not isinstance(self.confidence, int | float):
            raise UsageError(f"confidence '{self.confidence}' is no number; write it as 0.95")
        if not 0.5 < self.confidence < 1:
            raise UsageError(
                f"a confidence of {self.confidence:g} decides nothing; give a share above 0.5 and below 1, as 0.95"
            )
        if self.class_margin is not None and self.class_margin.unit != "pt":
            raise UsageError(f"max_class_loss '{self.class_margin}' must be in points, as 2pt")
        if all(
            limit is None for limit in (self.max_accuracy_loss, self.max_class_loss, self.max_size, self.min_agreement)
        ):
            raise UsageError(
                "the budget limits nothing; give at least one of max_accuracy_loss (0.5pt), max_class_loss (2pt), "
                "max_size (500KB) and min_agreement (99%)"
            )

    @property
    def margin(self) -> Margin | None:
        """`max_accuracy_loss`, read."""
        return self.max_accuracy_loss if isinstance(self.max_accuracy_loss, Margin) else None

    @property
    def class_margin(self) -> Margin | None:
        """`max_class_loss`, read."""
        return self.max_class_loss if isinstance(self.max_class_loss, Margin) else None

    @property
    def size_bytes(self) -> int | None:
        """`max_size`, read."""
        return self.max_size if isinstance(self.max_size, int) else None

    @property
    def agreement(self) -> float | None:
        """`min_agreement`, read, in percent."""
        return self.min_agreement if isinstance(self.min_agreement, float) else None


@dataclass(frozen=True, slots=True)
class TrialEvidence:
    """A trial, and what is known of its outputs; None where it could not be measured."""

    trial: Trial
    evidence: Evidence | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is decided about one setting in one runtime."""

    setting: str
    runtime: str
    outcome: Outcome
    reason: str
    """A clause: what decides, with its figures."""
    n: int = 0
    loss: Loss | None = None
    margin: float | None = None
    """What may be lost, in the loss' unit."""
    missing: int | None = None
    """Samples more that would decide; None unless inconclusive, and where no number would."""


@dataclass(frozen=True, slots=True)
class SettingVerdict:
    """A setting in every runtime that counts."""

    setting: str
    quantized: bool
    size_bytes: int | None
    """Download size as the target transfers files; None where nothing was converted."""
    judgements: tuple[Judgement, ...]
    """At least one."""

    @property
    def deciding(self) -> Judgement:
        """The most severe; of those that fit, the one that may lose most."""
        return max(
            self.judgements,
            key=lambda judgement: (SEVERITY[judgement.outcome], _upper(judgement), judgement.missing or 0),
        )

    @property
    def outcome(self) -> Outcome:
        """One runtime is enough to object."""
        return self.deciding.outcome

    @property
    def reason(self) -> str:
        """The clause of the judgement that decides."""
        return self.deciding.reason

    @property
    def upper(self) -> float:
        """The most that it may lose in any of the runtimes; infinite where that is not known."""
        return max(_upper(judgement) for judgement in self.judgements)


def _upper(judgement: Judgement) -> float:
    loss = judgement.loss
    return math.inf if loss is None or math.isnan(loss.upper) else loss.upper


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided about a study."""

    study: str
    """Its name: the folder without `.study`."""
    budget: Budget
    settings: tuple[SettingVerdict, ...]
    """Those that were judged, in the order of the table."""
    named: bool
    """Whether they were asked for by name: then every one must fit, else one quantized setting is enough."""
    untested: tuple[str, ...] = ()
    """What the target has and the study did not run, in words."""
    warnings: tuple[str, ...] = ()
    """Of the study, above everything else: what is decided about a broken conversion means little."""

    @property
    def recommended(self) -> str | None:
        """The smallest that fits in every runtime that counts, float32 too; None where none does."""
        fitting = [judged for judged in self.settings if judged.outcome == "fits"]
        best = min(fitting, key=lambda judged: (judged.size_bytes or math.inf, judged.upper), default=None)
        return best.setting if best else None

    @property
    def lacks_samples(self) -> bool:
        """Whether more samples are all that is missing: nothing breaks, and all that counts was run."""
        counted = [judged for judged in self.settings if self.named or judged.quantized]
        undecided = [judged for judged in counted if judged.outcome == "inconclusive"]
        return bool(counted) and all(judgement.n for judged in undecided for judgement in judged.judgements)

    @property
    def outcome(self) -> Outcome:
        """Of all that count."""
        outcomes: list[Outcome] = [judged.outcome for judged in self.settings if self.named or judged.quantized]
        if not outcomes:
            return "inconclusive"
        order = sorted(outcomes, key=SEVERITY.__getitem__)
        return order[-1] if self.named else order[0]

    @property
    def fits(self) -> bool:
        """Whether it may be shipped."""
        return self.outcome == "fits"

    def of(self, setting: str) -> SettingVerdict:
        """What is decided about one setting.

        Raises:
            KeyError: If it was not judged.
        """
        for judged in self.settings:
            if judged.setting == setting:
                return judged
        raise KeyError(setting)

    def explain(self) -> str:
        """A line for each setting and a line for all, for a message of `assert verdict.fits, verdict.explain()`."""
        width = max((len(judged.setting) for judged in self.settings), default=0)
        lines = [f"{judged.setting:{width}}  {judged.outcome.upper():12}  {judged.reason}" for judged in self.settings]
        return "\n".join([*lines, f"{self.study}: {self.outcome}"])


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which setting to ship, and why not the others."""

    verdict: Verdict
    reasons: Mapping[str, str]
    """Every other setting that was judged → why it is not chosen, in a clause."""
    front: tuple[str, ...]
    """The settings that none is both smaller than and surer to lose less than: what there is to choose among."""
    size_word: str
    """What is said behind a size: `gzipped`, `raw`, `on disk`."""
    share_of_float32: float | None = None
    """Size of what is chosen over that of its format's float32 variant; None for that itself."""
    losing_classes: Mapping[str, tuple[ClassLoss, ...]] = field(default_factory=dict)
    """Setting → classes that surely lose (Holm), of the runtime in which most do."""
    no_faster: str | None = None
    """Why what is chosen is no faster than float32, in a clause; None where it is, or nothing was timed."""
    minimum_runtime: str | None = None
    """The least version of the TFLite runtime that runs what is chosen; None where its format tells none."""
    reproduce: str | None = None
    """The command or code that makes what is chosen with the official tools."""

    @property
    def setting(self) -> str | None:
        """What to ship; None where nothing fits."""
        return self.verdict.recommended

    def explain(self) -> str:
        """What to ship and why not the others, a line each."""
        first = f"ship {self.setting}" if self.setting else f"nothing fits: {self.verdict.outcome}"
        return "\n".join([first, *(f"{name}: {reason}" for name, reason in self.reasons.items())])
