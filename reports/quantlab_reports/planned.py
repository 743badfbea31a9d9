"""A plan as a table: what is known of each setting, and how many samples decide about it."""

from dataclasses import dataclass, fields

from quantlab.gate.plan import Plan, PlannedRow
from quantlab.names import counted
from quantlab.statistics import MOST_SAMPLES, Chances, Pilot, fewest_samples
from quantlab_reports.figures import confidence, fixed, number
from quantlab_reports.model import Column, Table, plain, table_of

__all__ = ["PlanRow", "plan_table"]


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One setting, what is known of it, and the samples that decide about it."""

    setting: str | None
    """Name of the setting; null without a study."""
    runtime: str | None
    """Where it lost most; null without a study."""
    pilot_n: int | None
    """Number of samples of the pilot, which may be a study; null with `--discordance`, like the next two."""
    became_wrong: int | None
    """Samples of the pilot that became wrong."""
    became_right: int | None
    """Samples of the pilot that became right."""
    discordance: float | None
    """Share of changed answers that is taken as known, from 0 to 1; null with a pilot, like the next one."""
    expected_loss: float | None
    """Loss that is taken as known, in percentage points."""
    margin: float
    """Allowed loss, in percentage points."""
    confidence: float
    """One-sided confidence of the bounds that decide."""
    looks: str
    """`one`: the study is judged once; `any`: at any number of samples."""
    power: float
    """Asked probability of a decision, from 0 to 1."""
    samples: int | None
    """Number of new samples that decides, rounded up to two digits; null if that takes more than 10,000,000, like the
    next two."""
    fits: float | None
    """Probability that a study of so many samples fits."""
    breaks: float | None
    """Probability that it breaks."""
    asked_samples: int | None
    """The number of `--samples`; null without it, like the next two."""
    asked_fits: float | None
    """Probability that a study of `asked_samples` fits."""
    asked_breaks: float | None
    """Probability that it breaks."""


def plan_table(plan: Plan) -> Table:
    """Return a row for each setting: what is known, the samples that decide, and the probabilities of the outcomes."""
    columns = [*([_SETTING] if any(row.setting for row in plan.rows) else []), *_COLUMNS]
    if plan.samples is not None:
        columns.append(Column(f"of {plan.samples:,}: fits · breaks %", lambda row: _outcomes(row.at)))
    return table_of(
        columns,
        list(plan.rows),
        keys=[field.name for field in fields(PlanRow)],
        records=[plain(_record(plan, row)) for row in plan.rows],
        below=_notes(plan),
    )


def _known(row: PlannedRow) -> str:
    known = row.known
    if isinstance(known, Pilot):
        where = f" in {row.runtime}" if row.runtime else ""
        return f"{known.became_wrong:,}/{known.became_right:,} of {known.n:,} became wrong/right{where}"
    return f"{number(100 * known.discordance, 3)} % change, loss {number(100 * known.loss, 3)} points"


def _rounded(n: int) -> int:
    """Up to two digits: the number is a mean over draws."""
    step: int = 10 ** max(0, len(str(n)) - 2)
    return -(-n // step) * step


def _outcomes(chances: Chances | None) -> str:
    return "–" if chances is None else f"{fixed(100 * chances.fits, 0)} · {fixed(100 * chances.breaks, 0)}"


_SETTING = Column("setting", lambda row: row.setting, numeric=False)
_COLUMNS = [
    Column("known", _known, numeric=False),
    Column("margin, points", lambda row: number(row.margin, 4)),
    Column("samples", lambda row: f"over {MOST_SAMPLES:,}" if row.needed is None else f"{_rounded(row.needed.n):,}"),
    Column("fits · breaks %", lambda row: _outcomes(row.needed)),
]


def _notes(plan: Plan) -> list[str]:
    sure = confidence(plan.terms.confidence)
    looks = "any number of times" if plan.terms.looks == "any" else "once"
    study = f"a study of new samples, judged {looks} at {sure} confidence"
    notes = [f"samples: size of {study}, that decides in at least {number(100 * plan.power, 3)} % of cases"]
    if any(isinstance(row.known, Pilot) for row in plan.rows):
        notes.append(
            "fits · breaks: probabilities of the outcomes, as means over all shares of changed answers that the pilot "
            "leaves plausible"
        )
    few = [row.known.n for row in plan.rows if isinstance(row.known, Pilot) and row.known.n < _few(plan, row)]
    if few:
        notes.append(
            f"a pilot of {counted(min(few), 'sample', 'samples')} leaves large losses plausible, which few samples "
            f"decide, so a larger pilot may ask for more samples"
        )
    return notes


def _few(plan: Plan, row: PlannedRow) -> float:
    """The size of a pilot without a changed answer up to which a larger one asks for more samples, roughly."""
    return fewest_samples(row.margin / 100, plan.terms.confidence) / 6


def _record(plan: Plan, row: PlannedRow) -> PlanRow:
    pilot = row.known if isinstance(row.known, Pilot) else None
    known = None if isinstance(row.known, Pilot) else row.known
    needed, at = row.needed, row.at
    return PlanRow(
        setting=row.setting or None,
        runtime=row.runtime or None,
        pilot_n=pilot.n if pilot else None,
        became_wrong=pilot.became_wrong if pilot else None,
        became_right=pilot.became_right if pilot else None,
        discordance=known.discordance if known else None,
        expected_loss=100 * known.loss if known else None,
        margin=row.margin,
        confidence=plan.terms.confidence,
        looks=plan.terms.looks,
        power=plan.power,
        samples=_rounded(needed.n) if needed else None,
        fits=needed.fits if needed else None,
        breaks=needed.breaks if needed else None,
        asked_samples=at.n if at else None,
        asked_fits=at.fits if at else None,
        asked_breaks=at.breaks if at else None,
    )
