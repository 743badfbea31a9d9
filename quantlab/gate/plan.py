"""Plans how many samples a study needs until it decides about a margin; runs nothing."""

from dataclasses import dataclass

from quantlab.errors import UsageError
from quantlab.gate.judging import gather, name_of
from quantlab.registries import REAL, Registries
from quantlab.statistics import Chances, Expected, Pilot, PlanTerms, chances, samples_to_decide
from quantlab.store import Store
from quantlab.types import Budget, Judgement, Margin

__all__ = ["Asked", "Plan", "PlannedRow", "plan_after", "plan_for"]


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A setting, what is known of it, and the samples that decide about it."""

    setting: str
    """Name of the setting; empty if none is planned for."""
    runtime: str
    """Where it lost most; empty without a study."""
    known: Pilot | Expected
    margin: float
    """In percentage points."""
    needed: Chances | None
    """The number of samples that decides, with its probabilities; None if that takes more than `MOST_SAMPLES`."""
    at: Chances | None = None
    """The probabilities at a number of samples that was asked for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The samples that decide, for each setting."""

    rows: tuple[PlannedRow, ...]
    terms: PlanTerms
    """The margin is that of the first row."""
    power: float
    """Asked probability of a decision."""
    samples: int | None = None
    """The number of samples that was asked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a plan is made for."""

    confidence: float = 0.95
    looks: str | None = None
    power: float = 0.8
    samples: int | None = None
    seed: int = 0

    def terms(self, margin: float) -> PlanTerms:
        """The terms for a margin in percentage points."""
        try:
            return PlanTerms(margin / 100, self.confidence, "any" if self.looks == "any" else "one")
        except ValueError as error:
            raise UsageError(f"{error}; correct --margin or --confidence") from error

    def row(self, known: Pilot | Expected, margin: float, *, setting: str = "", runtime: str = "") -> PlannedRow:
        """Plan for one setting."""
        if not 0 < self.power < 1:
            raise UsageError(f"a power of {self.power:g} is not a share between 0 and 1; give for example 0.8")
        terms = self.terms(margin)
        needed = samples_to_decide(known, terms, power=self.power, seed=self.seed)
        at = None if self.samples is None else chances(known, self.samples, terms, seed=self.seed)
        return PlannedRow(setting, runtime, known, margin, needed, at)


def plan_for(known: Pilot | Expected, margin: Margin, asked: Asked) -> Plan:
    """Plan for shares of changed answers that the user knows, or counted in a pilot.

    Raises:
        UsageError: If the margin is not in points, or a number is out of range.
    """
    if margin.unit != "pt":
        raise UsageError(
            f"a margin of {margin} is relative to the reference, which is unknown here; write points, for example "
            f"0.5pt, or give a study"
        )
    return Plan((asked.row(known, margin.value),), asked.terms(margin.value), asked.power, asked.samples)


def plan_after(
    store: Store,
    budget: Budget,
    asked: Asked,
    *,
    settings: tuple[str, ...] | None = None,
    registries: Registries = REAL,
) -> Plan:
    """Plan for the settings of a study, whose samples are the pilot; of its runtimes, that with the largest loss.

    Raises:
        UsageError: If the metric counts no right and wrong answers, or a number is out of range.
        StudyError: See `quantlab.judge`.
    """
    store.refuse_running()
    judged = gather(store.read_study(), budget, settings=settings, name=name_of(store.root), registries=registries)
    rows = [
        _row(max(of_setting.judgements, key=lambda one: one.loss.loss if one.loss else -101.0), asked)
        for of_setting in judged.verdict.settings
        if any(judgement.loss is not None for judgement in of_setting.judgements)
    ]
    if not rows:
        raise UsageError(
            "no setting of the study was measured with a loss, so there is no pilot; analyze labelled samples, or give "
            "--discordance"
        )
    return Plan(tuple(rows), asked.terms(rows[0].margin), asked.power, asked.samples)


def _row(judgement: Judgement, asked: Asked) -> PlannedRow:
    loss, margin = judgement.loss, judgement.margin
    if loss is None or margin is None or loss.changed is None:
        metric = "" if loss is None else loss.metric
        raise UsageError(
            f"the metric '{metric}' counts no right and wrong answers, so its loss cannot be planned for; use --metric "
            f"top1, or follow the number of samples that 'quantlab gate' prints"
        )
    known = Pilot(*loss.changed, loss.n)
    return asked.row(known, margin, setting=judgement.setting, runtime=judgement.runtime)
