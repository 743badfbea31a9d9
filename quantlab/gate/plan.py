"""Plans how many samples a study needs until it decides about a margin; runs nothing."""

from dataclasses import dataclass

from quantlab.errors import UsageError
from quantlab.gate.judging import gather, name_of
from quantlab.registries import REAL, Registries
from quantlab.statistics import Chances, Expected, Pilot, PlanTerms, chances, samples_to_decide
from quantlab.store import Store
from quantlab.types import Budget, Judgement, Margin

__all__ = ["Asked", "Plan", "PlannedRow", "plan_after", "plan_for", "refuse_uncounted"]


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
            raise UsageError(
                f"a power of {round(100 * self.power, 9):g} % is not between 0 % and 100 %; give for example 80 %"
            )
        terms = self.terms(margin)
        needed = samples_to_decide(known, terms, power=self.power, seed=self.seed)
        at = None if self.samples is None else chances(known, self.samples, terms, seed=self.seed)
        return PlannedRow(setting, runtime, known, margin, needed, at)


def plan_for(known: Pilot | Expected, margin: Margin, asked: Asked) -> Plan:
    """Plan for shares of changed answers that the user knows, or counted in a pilot.

    Raises:
        UsageError: If the margin is not in points, or a number is out of range.
    """
    if margin.unit not in {"pt", "%"}:
        raise UsageError(
            f"a margin of {margin} is in the unit of a metric that counts no right and wrong answers, and a plan is "
            f"made from such counts; write points, for example 0.5pt"
        )
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
    with_classes = any(row.evidence is not None and row.evidence.classes for row in judged.trials)
    of_settings = [
        max(of_setting.judgements, key=lambda one: one.loss.loss if one.loss else -101.0)
        for of_setting in judged.verdict.settings
        if any(judgement.loss is not None for judgement in of_setting.judgements)
    ]
    for judgement in of_settings:
        refuse_uncounted(judgement, with_classes=with_classes)
    rows = [_row(judgement, asked) for judgement in of_settings]
    if not rows:
        raise UsageError(
            "no setting of the study was measured with a loss, so there is no pilot; analyze labelled samples, or give "
            "--discordance"
        )
    return Plan(tuple(rows), asked.terms(rows[0].margin), asked.power, asked.samples)


def refuse_uncounted(judgement: Judgement, *, with_classes: bool) -> None:
    """Refuse a loss from which no plan can be made: of samples in groups, or without right and wrong answers."""
    loss = judgement.loss
    if loss is None or loss.changed is not None:
        return
    if loss.groups is not None:
        raise UsageError(
            f"the samples of the study are in {loss.groups:,} groups, and a plan is made from counts of independent "
            f"samples, so it is not offered for groups; follow the number of groups that 'quantlab gate' prints"
        )
    instead = "use --metric top1, or follow" if with_classes else "follow"
    raise UsageError(
        f"the metric '{loss.metric}' counts no right and wrong answers, so its loss cannot be planned for; {instead} "
        f"the number of samples that 'quantlab gate' prints"
    )


def _row(judgement: Judgement, asked: Asked) -> PlannedRow:
    loss, margin = judgement.loss, judgement.margin
    if loss is None or margin is None or loss.changed is None:
        raise ValueError(f"the judgement of {judgement.setting} has no counts of changed answers")
    known = Pilot(*loss.changed, loss.n)
    return asked.row(known, margin, setting=judgement.setting, runtime=judgement.runtime)
