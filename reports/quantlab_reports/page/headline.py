"""The first screen: what to ship, how sure that is, and what is wrong."""

from dataclasses import dataclass

from quantlab.gate import size
from quantlab.names import counted, counted_candidates
from quantlab.types import Outcome, Recommendation, SettingVerdict
from quantlab_reports.figures import fixed
from quantlab_reports.losses import loss_of, severity
from quantlab_reports.subject import Subject
from quantlab_reports.views.recommendation import lacking_samples, loss_in_words

__all__ = ["MOST_WARNINGS", "Headline", "headline_of"]

MOST_WARNINGS = 3


@dataclass(frozen=True, slots=True)
class Headline:
    """The sentences of the first screen."""

    claim: str
    """The recommendation."""
    evidence: str
    outcome: Outcome | None
    """None if nothing was judged."""
    budget: str
    """What was allowed: `1 pt`; empty without a limit of the loss."""
    warnings: tuple[str, ...]
    more_warnings: int
    unchecked: tuple[str, ...]


def headline_of(subject: Subject) -> Headline:
    """The sentences of the first screen, from the recommendation if there is one."""
    chosen = subject.recommendation
    warnings = subject.study.warnings if chosen is None else chosen.verdict.warnings
    claim, evidence = _without_budget(subject) if chosen is None else _judged(chosen, subject)
    margin = None if chosen is None else chosen.verdict.budget.margin
    return Headline(
        claim,
        evidence,
        None if chosen is None else chosen.verdict.outcome,
        "" if margin is None else str(margin),
        warnings[:MOST_WARNINGS],
        max(len(warnings) - MOST_WARNINGS, 0),
        () if chosen is None else chosen.verdict.untested,
    )


def _judged(chosen: Recommendation, subject: Subject) -> tuple[str, str]:
    if chosen.setting is None or not chosen.verdict.fits:
        return _nothing(chosen, subject)
    setting = chosen.verdict.of(chosen.setting)
    share = chosen.share_of_float32
    part = "" if share is None else f", {fixed(100 * share, 0)} % of float32"
    weight = "" if setting.size_bytes is None else f": {size(setting.size_bytes)} {chosen.size_word}{part}"
    return f"Ship {chosen.setting}{weight}.", f"{_loses(setting)}{_among(chosen, subject)}."


def _loses(setting: SettingVerdict) -> str:
    told = loss_in_words(setting)
    return f"{told[0].upper()}{told[1:]}" if setting.deciding.loss is None else f"It {told}"


def _among(chosen: Recommendation, subject: Subject) -> str:
    """How many others there were: a choice among many finds a lucky one."""
    several = chosen.verdict.several
    settings = "" if several is None else f"; chosen among {counted(len(several.order), 'setting')}"
    variant = next((trial.variant for trial in subject.trials_of(chosen.setting or "") if trial.variant), None)
    # Without a loss, the evidence is the reason of the verdict, which counts them itself.
    counted_already = chosen.setting is not None and chosen.verdict.of(chosen.setting).deciding.loss is None
    if variant is None or not variant.candidates or counted_already:
        return settings
    searched = counted_candidates(variant.candidates, variant.single_decisions)
    return f"{settings}, and found among {searched} on other samples"


def _nothing(chosen: Recommendation, subject: Subject) -> tuple[str, str]:
    """That the budget is not kept, which setting comes closest, and what can be shipped all the same."""
    verdict, closest = chosen.verdict, subject.about
    fitting = [one for one in (*verdict.settings, *chosen.baselines) if one.outcome == "fits"]
    nearest = []
    if closest is not None:
        nearest = [f"{closest.setting} {'breaks it' if verdict.named else 'comes closest'}: {closest.reason}."]
        if verdict.outcome == "inconclusive" and verdict.named:
            nearest = [f"{closest.setting} is not decided: {closest.reason}."]
    shipped = " ".join([*nearest, *(_fits_all_the_same(one, chosen) for one in fitting)])
    if verdict.outcome == "inconclusive":
        none = "No quantized setting fits" if fitting and not verdict.named else "Not decided"
        return f"{none}{lacking_samples(verdict)}.", shipped
    if verdict.named and fitting:
        return "Not every named setting fits the budget.", shipped
    return f"{'No quantized setting' if fitting else 'Nothing'} fits the budget.", shipped


def _fits_all_the_same(fitting: SettingVerdict, chosen: Recommendation) -> str:
    weight = "" if fitting.size_bytes is None else f", {size(fitting.size_bytes)} {chosen.size_word},"
    what = "fits" if fitting.quantized else "fits and can be shipped"
    return f"{fitting.setting}{weight} {what}: {loss_in_words(fitting)}."


def _without_budget(subject: Subject) -> tuple[str, str]:
    """What is smallest, and what it loses; nothing is recommended."""
    known = [
        (trial, loss, size_bytes)
        for trial in subject.study.trials
        if (size_bytes := subject.size_of(trial.variant)) and (loss := loss_of(trial)) is not None
    ]
    settings = len({trial.setting for trial in subject.study.trials})
    claim = (
        f"{counted(settings, 'setting')} of {subject.study.model.kind}: nothing was judged, because no budget is given."
    )
    if not known:
        return claim, "No loss was measured; errors against the model's outputs are below."
    trial, loss, size_bytes = min(known, key=lambda one: (one[2], -severity(one[1])))
    unit = " points" if loss.unit == "pt" else ""
    return claim, (
        f"The smallest measured setting is {trial.setting}, {size(size_bytes)} {subject.target.size_word}; loss of "
        f"{loss.name}: {loss.figures}{unit}, n = {loss.n:,}."
    )
