"""What a search found, in sentences."""

import math

from quantlab.names import counted
from quantlab.types import TUNED, Candidate, TunedFormat

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
        f"{counted(len(decided.candidates), 'candidate')} on {counted(chosen.n, 'search sample')}; the verdict is of "
        f"{counted(verdict_samples, 'other sample')}"
    )
    ended = "" if decided.finished else "time was over before the search ended, so this is the best so far; "
    size = f"{chosen.size_bytes / 1e3:,.1f} KB {size_word}"
    tried = f"{decided.note}; {tried}" if decided.note else tried
    if not chosen.fits:
        why = "which is too large" if chosen.keeps else f"with {_expected(chosen)}"
        return (
            f"{format_name}: {ended}no candidate is expected to fit; the closest is {chosen.name}, {size}, {why} "
            f"({tried})"
        )
    if not decided.own:
        return f"{format_name}: {ended}nothing smaller than {chosen.name}, {size}, was found ({tried})"
    smaller = _than(decided, chosen)
    return f"{format_name}-{TUNED}: {ended}{chosen.name}, {size}{smaller} ({tried})"


def _expected(chosen: Candidate) -> str:
    if not math.isfinite(chosen.expected_upper):
        return "an output that is not finite"
    return f"an expected bound of {chosen.expected_upper:.2f}"


def _than(decided: TunedFormat, chosen: Candidate) -> str:
    """How much smaller it is than the smallest setting that fits."""
    fitting = [one for one in decided.candidates if one.official and one.fits]
    best = min(fitting, key=lambda one: one.size_bytes, default=None)
    if best is None:
        return ", where no setting fits"
    percent = 100 * (1 - chosen.size_bytes / best.size_bytes)
    return f", {percent:.0f} % smaller than {best.name}" if percent >= 1 else f", hardly smaller than {best.name}"
