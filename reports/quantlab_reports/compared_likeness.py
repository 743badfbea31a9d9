"""How like the answers of several studies are, where no labels say which are better: columns, sentences and records."""

import math
from collections.abc import Iterator
from typing import Any

from quantlab.gate import decimals_of, rounded_down, rounded_up
from quantlab.gate.comparison import ComparedRow, ComparedStudies, ComparedStudy, Likeness
from quantlab.names import counted
from quantlab.types import REFERENCE, Loss
from quantlab_reports.figures import EMPTY, fixed, number
from quantlab_reports.model import Column

__all__ = ["likeness_columns", "likeness_conclusions", "likeness_footer", "likeness_record"]


def likeness_columns(compared: ComparedStudies, place: int) -> tuple[Column, ...]:
    """The agreement of a study with the first one, or the difference of their outputs, each with its interval."""
    first, study = compared.studies[0].name, compared.studies[place].name

    def cell(row: ComparedRow) -> str:
        found = row.sides[place].likeness
        return EMPTY if found is None else _agreement(found.loss) if _is_agreement(found) else _mean(found.loss)

    def divergence(row: ComparedRow) -> str:
        found = row.sides[place].likeness
        return EMPTY if found is None or found.divergence is None else _mean(found.divergence)

    def n(row: ComparedRow) -> str:
        found = row.sides[place].likeness
        return EMPTY if found is None else f"{found.loss.n:,}"

    what = f"agreement of {study} with {first}, %" if _of_classes(compared) else f"{study} from {first}, max error"
    return (
        Column(f"{what} [95 %]", cell),
        Column("n", n),
        Column(f"KL of {study} from {first}, nats [95 %]", divergence),
    )


def likeness_conclusions(compared: ComparedStudies) -> Iterator[str]:
    """What may be concluded: a sentence for each study after the first; what may not begins with `!`."""
    yield (
        "! no labels: it is not known which study is better; each figure compares a variant with the model of its own "
        "study"
    )
    first = compared.studies[0]
    for place, study in enumerate(compared.studies[1:], start=1):
        found = [(row, one) for row in compared.rows if (one := row.sides[place].likeness) is not None]
        if study.unpaired:
            yield f"! {study.name} and {first.name} are not compared sample by sample ({study.unpaired})"
        elif not found:
            yield f"! {study.name} and {first.name} have no measured row in common, so their answers are not compared"
        else:
            yield _conclusion(first, study, found)


def _conclusion(first: ComparedStudy, study: ComparedStudy, found: list[tuple[ComparedRow, Likeness]]) -> str:
    row, alike = max(found, key=lambda one: math.inf if math.isnan(one[1].loss.loss) else one[1].loss.loss)
    loss = alike.loss
    where = "the model itself" if row.setting == REFERENCE else f"{row.setting} ({row.runtime})"
    if math.isnan(loss.loss) or not math.isfinite(loss.loss):
        return f"! the outputs of {study.name} and {first.name} differ by NaN or infinite values in {where}"
    several = len(found) > 1
    most = f", where they differ most of {len(found)} rows" if several else ""
    if not _is_agreement(alike) and not loss.candidate:
        return f"the outputs of {study.name} are those of {first.name} on all {counted(loss.n, 'sample')} in every row"
    if not _is_agreement(alike):
        bound = rounded_up(max(one.together.upper for _, one in found), decimals=decimals_of(alike.together))
        ending = f"; in every row by at most {bound}, with 95 % for all rows together" if several else ""
        return (
            f"the outputs of {study.name} differ from those of {first.name} by {_mean(loss)} in the mean over "
            f"{counted(loss.n, 'sample')} in {where}{most}{ending}"
        )
    least = rounded_down(100 - max(one.together.upper for _, one in found))
    ending = f"; in every row on at least {least} %, with 95 % for all rows together" if several else ""
    what = "of the positions" if loss.discordant is None and loss.groups is None else "of the samples"
    return (
        f"{study.name} gives the class of {first.name} on {_agreement(loss)} % {what} (n = {loss.n:,}) in {where}"
        f"{most}{ending}"
    )


def likeness_footer(compared: ComparedStudies) -> Iterator[str]:
    """How the figures are read."""
    found = [one for row in compared.rows for side in row.sides if (one := side.likeness) is not None]
    if not found:
        return
    method = found[0].loss.method.partition(" without")[0]
    if _is_agreement(found[0]):
        yield (
            f"agreement: the same class as the same setting in {compared.studies[0].name}, sample by sample; 95 % "
            f"interval: {method}"
        )
    else:
        yield (
            f"max error: mean over the samples of the largest absolute difference of an element from the same setting "
            f"in {compared.studies[0].name}; 95 % interval: {method}"
        )
    apart = next((one.divergence for one in found if one.divergence is not None), None)
    if apart is not None:
        yield f"KL: mean KL divergence from {compared.studies[0].name} over the samples; 95 % interval: {apart.method}"


def likeness_record(found: Likeness, against: str) -> dict[str, Any]:
    """The fields of a `CompareRow` that tell how like the answers are."""
    loss, together, apart = found.loss, found.together, found.divergence
    known: dict[str, Any] = {"against": against, "method": loss.method}
    if apart is not None:
        known |= {"kl": apart.candidate, "kl_lower": max(apart.lower, 0.0), "kl_upper": _upper(apart)}
    if _is_agreement(found):
        return known | {
            "agreement": loss.candidate,
            "agreement_lower": 100 - loss.upper,
            "agreement_upper": 100 - max(loss.lower, 0.0),
            "together_lower": 100 - together.upper,
            "together_upper": 100 - max(together.lower, 0.0),
            "other_answers": loss.discordant,
        }
    return known | {
        "difference": loss.candidate,
        "difference_lower": max(loss.lower, 0.0),
        "difference_upper": _upper(loss),
        "together_lower": max(together.lower, 0.0),
        "together_upper": _upper(together),
    }


def _upper(loss: Loss) -> float | None:
    """The upper end of a mean; None if no sample differs, because nothing says then how much another one would."""
    return loss.upper if loss.candidate else None


def _is_agreement(found: Likeness) -> bool:
    return found.loss.unit == "pt"


def _of_classes(compared: ComparedStudies) -> bool:
    return compared.unit == "pt"


def _agreement(loss: Loss) -> str:
    """Agreement in percent with its interval: its lower end is 100 % less the upper bound of the loss."""
    lower, upper = rounded_down(100 - loss.upper), rounded_up(100 - max(loss.lower, 0.0))
    return f"{fixed(loss.candidate, 2)} [{lower}, {upper}]"


def _mean(loss: Loss) -> str:
    """A mean that is 0 or more, with its interval; without one if no sample differs, see `_upper`."""
    if _upper(loss) is None:
        return number(loss.candidate, 3)
    digits = decimals_of(loss)
    lower, upper = rounded_down(max(loss.lower, 0.0), decimals=digits), rounded_up(loss.upper, decimals=digits)
    return f"{number(loss.candidate, 3)} [{lower}, {upper}]"
