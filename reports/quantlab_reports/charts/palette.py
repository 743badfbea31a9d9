"""The colours of charts: roles in a specification, and what they are on a page and in a file.

Series have the colours of Okabe & Ito, which people with any kind of colour blindness tell apart; there is also a
marker or a label for each, so that none is told by its colour alone.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["ON_PAPER", "ON_THE_PAGE", "SERIES", "WORDS", "coloured"]

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe & Ito 2008, Color Universal Design, without black and yellow."""

WORDS = ("#0067a3", "#a84a00", "#00754f", "#9c4a78", "#8a5f00", "#22729f")
"""The same for words, darker where the contrast to white would be less than 4.5 : 1."""

_ROLES = ("ink", "muted", "rule", "accent", "warning", "band", "paper")

ON_PAPER: Mapping[str, str] = {
    "@ink": "#1a1a1a",
    "@muted": "#595959",
    "@rule": "#d9d9d9",
    "@accent": "#0072B2",
    "@warning": "#b34700",
    "@band": "#f2e6d9",
    "@paper": "#ffffff",
    **{f"@series{place}": colour for place, colour in enumerate(SERIES)},
    **{f"@words{place}": colour for place, colour in enumerate(WORDS)},
}
"""Roles → colours of a file, on white."""

ON_THE_PAGE: Mapping[str, str] = {
    **{f"@{role}": f"var(--{role})" for role in _ROLES},
    **{f"@{kind}{place}": f"var(--{kind}{place})" for kind in ("series", "words") for place in range(len(SERIES))},
}
"""Roles → variables of the page's style sheet, which has them for light and for dark."""


def coloured(value: Any, palette: Mapping[str, str]) -> Any:
    """A specification with colours in place of roles, at any depth."""
    if isinstance(value, str):
        return palette.get(value, value)
    if isinstance(value, Mapping):
        return {key: coloured(one, palette) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [coloured(one, palette) for one in value]
    return value
