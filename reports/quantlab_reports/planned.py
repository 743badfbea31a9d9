"""A plan as a table: what is known of each setting, and how many samples decide about it."""

from collections.abc import Mapping
from typing import Any

from quantlab.gate.plan import Plan, PlannedRow
from quantlab.statistics import MOST_SAMPLES, Chances, Pilot
from quantlab_reports.figures import fixed, number
from quantlab_reports.model import Column, Table, plain, table_of

__all__ = ["KEYS", "plan_table"]

KEYS = (
    "setting",
    "runtime",
    "pilot_n",
    "became_wrong",
    "became_right",
    "discordance",
    "expected_loss",
    "margin",
    "confidence",
    "looks",
    "power",
    "samples",
    "fits",
    "breaks",
    "asked_samples",
    "asked_fits",
    "asked_breaks",
)
"""All keys of a row, in order."""


def plan_table(plan: Plan) -> Table:
    """Return a row for each setting: what is known, the samples that decide, and the probabilities of the outcomes."""
    columns = [*([_SETTING] if any(row.setting for row in plan.rows) else []), *_COLUMNS]
    if plan.samples is not None:
        columns.append(Column(f"of {plan.samples:,}: fits · breaks %", lambda row: _outcomes(row.at)))
    return table_of(
        columns,
        list(plan.rows),
        keys=KEYS,
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
    sure = number(100 * plan.terms.confidence, 6)
    looks = "any number of times" if plan.terms.looks == "any" else "once"
    study = f"a study of new samples, judged {looks} at {sure} % confidence"
    notes = [f"samples: size of {study}, that decides in at least {number(100 * plan.power, 3)} % of cases"]
    if any(isinstance(row.known, Pilot) for row in plan.rows):
        notes.append(
            "fits · breaks: probabilities of the outcomes, as means over all shares of changed answers that the pilot "
            "leaves plausible"
        )
    return notes


def _record(plan: Plan, row: PlannedRow) -> Mapping[str, Any]:
    pilot = row.known if isinstance(row.known, Pilot) else None
    known = None if isinstance(row.known, Pilot) else row.known
    needed, at = row.needed, row.at
    values = (
        row.setting or None,
        row.runtime or None,
        pilot and pilot.n,
        pilot and pilot.became_wrong,
        pilot and pilot.became_right,
        known and known.discordance,
        known and 100 * known.loss,
        row.margin,
        plan.terms.confidence,
        plan.terms.looks,
        plan.power,
        needed and _rounded(needed.n),
        needed and needed.fits,
        needed and needed.breaks,
        at and at.n,
        at and at.fits,
        at and at.breaks,
    )
    return dict(zip(KEYS, values, strict=True))
