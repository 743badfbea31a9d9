"""What a chart is: one Vega-Lite specification, from which the page and every file are drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["WIDTH", "WIDTH_OF_PHONES", "Chart", "Drawing"]

Drawn = TypeVar("Drawn")
"""What a chart is drawn of: a study with all that is kept of it, or the rows of many models."""

WIDTH = 680.0
"""Of a chart in a column of text, and in a file."""
WIDTH_OF_PHONES = 300.0


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart of one study, or of many models."""

    specification: Mapping[str, Any]
    """Vega-Lite 5, with values inline. Colours are roles (`@ink`, see `palette.py`), so that a page can follow the
    reader's choice of light or dark, and a file has fixed ones."""
    text: str
    """What the chart shows, as a sentence: for those who cannot see it."""


@dataclass(frozen=True, slots=True)
class Chart(Generic[Drawn]):
    """A kind of chart."""

    heading: str
    draw: Callable[[Drawn, float], Drawing | None]
    """Draws it in a width, in pixels without titles of axes; None if it has nothing of the kind."""
    absent: str
    """What is missing then, and the command that brings it, as a sentence."""
