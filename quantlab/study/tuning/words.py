"""What a search found, in sentences."""

import math

from quantlab.names import counted, counted_candidates, joined
from quantlab.types import TUNED, Candidate, Miss, TunedFormat

__all__ = ["note_of"]


def note_of(format_name: str, decided: TunedFormat, size_word: str, verdict_samples: int) -> str:
    """What was found in one format.

    Args:
        format_name: Name of the format.
        decided: The decisions.
        size_word: Said after a size: `gzipped`.
        verdict_samples: Samples of the verdict.
    """
    chosen = next(one for one in decided.candidates if one.name == decided.chosen)
    tried = (
        f"{counted_candidates(len(decided.candidates), decided.single_decisions)} on "
        f"{counted(chosen.n, 'search sample')}; the verdict is of {counted(verdict_samples, 'other sample')}"
    )
    ended = "" if decided.finished else "time was over before the search ended, so this is the best so far; "
    size = f"{chosen.size_bytes / 1e3:,.1f} KB {size_word}"
    tried = f"{decided.note}; {tried}" if decided.note else tried
    if not chosen.fits:
        closest = f"no candidate is expected to fit; the closest is {chosen.name}, {size}, {_why(chosen)}"
        return f"{format_name}: {ended}{closest} ({tried})"
    if not decided.own:
        return f"{format_name}: {ended}nothing smaller than {chosen.name}, {size}, was found ({tried})"
    smaller = _than(decided, chosen)
    return f"{format_name}-{TUNED}: {ended}{chosen.name}, {size}{smaller} ({tried})"


_MISSES = {
    "max_accuracy_loss": ("an expected loss of at most {}, where {} is allowed: {} too much"),
    "min_agreement": ("an expected agreement of at least {}, where {} is asked for: {} too little"),
    "min_sqnr": ("an SQNR of {}, where {} is asked for: {} too little"),
    "max_size": ("a size of {}, where {} is allowed: {} too much"),
}


def _why(chosen: Candidate) -> str:
    """The limits that it does not keep, and by how much."""
    misses = [_missed(miss) for miss in chosen.misses]
    if not math.isfinite(chosen.expected_upper):
        misses.insert(0, "an output that is not finite")
    return f"with {joined(misses)}"


def _missed(miss: Miss) -> str:
    figures = (miss.expected, miss.allowed, abs(miss.expected - miss.allowed))
    if miss.unit == "bytes":
        return _MISSES[miss.limit].format(*(f"{figure / 1e3:,.2f} KB" for figure in figures))
    units = [miss.unit, miss.unit, "points" if miss.unit == "%" else miss.unit]
    shown = (f"{figure:.2f} {unit}".rstrip() for figure, unit in zip(figures, units, strict=True))
    return _MISSES[miss.limit].format(*shown)


def _than(decided: TunedFormat, chosen: Candidate) -> str:
    """How much smaller it is than the smallest setting that fits."""
    fitting = [one for one in decided.candidates if one.official and one.fits]
    best = min(fitting, key=lambda one: one.size_bytes, default=None)
    if best is None:
        return ", where no setting fits"
    percent = 100 * (1 - chosen.size_bytes / best.size_bytes)
    return f", {percent:.0f} % smaller than {best.name}" if percent >= 1 else f", hardly smaller than {best.name}"
