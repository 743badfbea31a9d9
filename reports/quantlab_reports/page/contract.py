"""What a section of the report is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quantlab_reports.subject import Subject

__all__ = ["Content", "Section"]


@dataclass(frozen=True, slots=True)
class Content:
    """A section as it is written into the page."""

    conclusion: str
    """What to conclude, as a sentence that is computed from the study; or what is missing, and what brings it."""
    template: str = ""
    """The template that shows the values; empty if there is nothing to show."""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading of its own."""

    heading: str
    short: str
    """The heading in the table of contents."""
    content: Callable[[Subject], Content]
