"""Promises about how verdicts are used: the best of several settings, more samples until one fits, and plans.

All settings lose exactly the margin, so each one that fits is a wrong verdict. A second table says what the rules cost:
the samples that decide about a setting that loses nothing.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from quantlab.gate.several import confidence_of_each
from quantlab.statistics import (
    Expected,
    Pilot,
    PlanTerms,
    decide,
    loss_bounds,
    missing_samples,
    obrien_fleming,
    samples_to_decide,
)
from quantlab.statistics.paired.sequential import any_look_bounds
from quantlab.types import Budget, Loss

Row = tuple[str, str, str, float, int]
Counts = NDArray[np.int64]

CONFIDENCE = 0.95
MARGIN = 0.01
SETTINGS = 9
SAMPLES = 1000
CHANGES = (0.012, 0.05)
"""Shares of answers that change."""
FIRST, MOST, LOOKS = 300, 200_000, 8
PILOTS = 40


def rows(draws: int, seed: int) -> list[Row]:
    """All promises: the best of several with so many draws, the slower ones with fewer."""
    random = np.random.default_rng(seed)
    return [*several(draws, random), *looks(draws // 2, random), *plans(max(12, draws // 40), random)]


def several(draws: int, random: np.random.Generator) -> Iterator[Row]:
    """The best of nine settings, with errors of their own or mostly the same ones."""
    each = confidence_of_each(Budget(max_accuracy_loss="1pt", order=("none",)), SETTINGS, named=False)
    for changed in CHANGES:
        for share, words in ((0.0, "independent"), (0.8, "80 % of their changes the same")):
            counts = settings_at_the_margin(draws, changed, share, random)
            scenario = f"best of {SETTINGS}, {words}, {100 * changed:g} % change, n = {SAMPLES:,}"
            one = outcomes(counts, CONFIDENCE)
            yield "each by itself, as before", scenario, "–", float((one == 1).any(axis=1).mean()), draws
            yield "fixed sequence", scenario, "≤ 5.5 %", float(sequence(counts, one).mean()), draws
            corrected = outcomes(counts, each)
            yield "Bonferroni", scenario, "≤ 5.5 %", float((corrected == 1).any(axis=1).mean()), draws


def settings_at_the_margin(draws: int, changed: float, share: float, random: np.random.Generator) -> Counts:
    """Samples that became wrong and right, of settings that share a part of their changes: (draws, settings, 2)."""
    wrong, right = (changed + MARGIN) / 2, (changed - MARGIN) / 2

    def drawn(size: tuple[int, int], part: float) -> Counts:
        return random.multinomial(SAMPLES, (wrong * part, right * part, 1 - changed * part), size)[..., :2]

    return drawn((draws, 1), share) + drawn((draws, SETTINGS), 1 - share)


def outcomes(counts: Counts, confidence: float) -> NDArray[np.int8]:
    """1 where a setting fits, −1 where it breaks, else 0."""
    pairs, places = np.unique(counts.reshape(-1, 2), axis=0, return_inverse=True)
    known = {"fits": 1, "breaks": -1, "inconclusive": 0}
    found = [known[outcome(int(wrong), int(right), SAMPLES, confidence)] for wrong, right in pairs]
    return np.array(found, np.int8)[places].reshape(counts.shape[:-1])


@lru_cache(maxsize=200_000)
def loss_of(wrong: int, right: int, n: int, confidence: float) -> Loss:
    lower, upper = loss_bounds(wrong, right, n=n, confidence=confidence)
    loss = 100 * (wrong - right) / n
    return Loss(
        "top1", "higher", "pt", n, 100, 100 - loss, loss, 100 * lower, 100 * upper, confidence, "", wrong + right
    )


def outcome(wrong: int, right: int, n: int, confidence: float) -> str:
    return decide(loss_of(wrong, right, n, confidence), 100 * MARGIN)


def sequence(counts: Counts, one: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Whether any setting fits before the first that neither fits nor breaks by far."""
    far = outcomes(counts, 1 - 0.01 * (1 - CONFIDENCE)) == -1
    goes_on = np.cumprod((one == 1) | far, axis=1).astype(bool)
    return np.asarray((goes_on & (one == 1)).any(axis=1))


def looks(draws: int, random: np.random.Generator) -> Iterator[Row]:
    """As many samples more as are printed, up to eight looks."""
    rules: tuple[tuple[str, str, Callable[[int, list[int], Counts], str]], ...] = (
        ("more samples, as before", "–", lambda n, _, counts: outcome(*pair(counts), n, CONFIDENCE)),
        ("first look as the only one, then further ones", "≤ 5.5 %", further),
        ("any number of looks", "≤ 5 %", lambda n, _, counts: at_any(n, counts, CONFIDENCE)),
        ("planned looks", "≤ 5 %", planned),
    )
    for changed in CHANGES:
        scenario = f"'n more' followed up to {LOOKS} looks from n = {FIRST}, {100 * changed:g} % change"
        for name, promised, rule in rules:
            passed = sum(follow(rule, changed, random) for _ in range(draws))
            yield name, scenario, promised, passed / draws, draws


def pair(counts: Counts) -> tuple[int, int]:
    return int(counts[0]), int(counts[1])


def at_any(n: int, counts: Counts, confidence: float) -> str:
    lower, upper = any_look_bounds(*pair(counts), n=n, confidence=confidence)
    return "fits" if upper < MARGIN else "breaks" if lower > MARGIN else "inconclusive"


def further(n: int, before: list[int], counts: Counts) -> str:
    if not before:
        return outcome(*pair(counts), n, CONFIDENCE)
    return at_any(n, counts, 1 - 0.1 * (1 - CONFIDENCE))


def planned(n: int, before: list[int], counts: Counts) -> str:
    return outcome(*pair(counts), n, obrien_fleming([*before, n], max(PLANNED, n), CONFIDENCE))


PLANNED = 5000


def follow(rule: Callable[[int, list[int], Counts], str], changed: float, random: np.random.Generator) -> bool:
    """Whether a setting at the margin fits at any look."""
    wrong, right = (changed + MARGIN) / 2, (changed - MARGIN) / 2
    counts, n, before = np.zeros(3, np.int64), FIRST, list[int]()
    ends = [PLANNED * (look + 1) // 4 for look in range(4)] if rule is planned else []
    for look in range(LOOKS):
        if rule is planned:
            if look == len(ends):
                return False
            n = ends[look]
        counts = counts + random.multinomial(n - (before[-1] if before else 0), (wrong, right, 1 - changed))
        found = rule(n, before, counts)
        if found != "inconclusive":
            return found == "fits"
        before.append(n)
        missing = missing_samples(loss_of(*pair(counts), n, CONFIDENCE), 100 * MARGIN)
        if missing is None or n + missing > MOST:
            return False
        n += max(missing, 50)
    return False


def plans(draws: int, random: np.random.Generator) -> Iterator[Row]:
    """How often the number that `quantlab plan` prints decides, after pilots that do not."""
    terms = PlanTerms(0.005)
    for loss, changed in ((0.0, 0.005), (0.0, 0.01), (0.0025, 0.01), (0.0, 0.02), (0.01, 0.02)):
        for n in (200, 500, 1000):
            decided = [one for _ in range(draws) if (one := after_a_pilot(loss, changed, n, terms, random)) is not None]
            scenario = f"pilot of {n:,}, loses {100 * loss:g} of 0.5 pt, {100 * changed:g} % change"
            share = float(np.mean(decided)) if decided else float("nan")
            yield "plan decides", scenario, "≥ 80 %", share, len(decided)


@lru_cache(maxsize=10_000)
def needed_after(wrong: int, right: int, n: int) -> int | None:
    plan = samples_to_decide(Pilot(wrong, right, n), PlanTerms(0.005))
    return plan.n if plan else None


def after_a_pilot(loss: float, changed: float, n: int, terms: PlanTerms, random: np.random.Generator) -> float | None:
    """The probability that the printed number decides; None if the pilot decides, or no number is printed."""
    shares = Expected(changed, loss).shares(random, 1)[0]
    for _ in range(PILOTS):
        wrong, right, _unchanged = (int(count) for count in random.multinomial(n, shares))
        fits, breaks = terms.decides(np.array([wrong]), np.array([right]), n)
        if not (fits[0] or breaks[0]):
            break
    else:
        return None
    number = needed_after(wrong, right, n)
    if number is None:
        return None
    counts = random.multinomial(number, shares, 200)
    fits, breaks = terms.decides(counts[:, 0], counts[:, 1], number)
    return float((fits | breaks).mean())


def costs() -> list[tuple[str, str, int, float]]:
    """Samples that decide about a setting without a loss with a probability of 80 %, and their ratio to one look."""
    found = []
    for margin, changed in ((0.005, 0.005), (0.005, 0.01), (0.01, 0.05)):
        known, scenario = Expected(changed), f"margin {100 * margin:g} pt, {100 * changed:g} % change"
        terms = {
            "one look": PlanTerms(margin),
            "best of 9 in a fixed sequence": PlanTerms(margin),
            "best of 9 by Bonferroni": PlanTerms(margin, 1 - 0.05 / SETTINGS),
            "any number of looks": PlanTerms(margin, looks="any"),
            "further looks": PlanTerms(margin, 0.995, looks="any"),
            "end of a plan of 4 looks": PlanTerms(margin, obrien_fleming([1, 2, 3, 4], 4, CONFIDENCE)),
        }
        numbers = {name: plan.n for name, asked in terms.items() if (plan := samples_to_decide(known, asked))}
        found += [(name, scenario, n, n / numbers["one look"]) for name, n in numbers.items()]
    return found
