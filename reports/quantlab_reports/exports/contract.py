"""What an export is: it writes a study in the form of another program."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from quantlab_reports.subject import Subject

__all__ = ["Asked", "Export", "Written"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of an export; None if an option was not given."""

    setting: str | None = None
    runtime: str | None = None
    figure: str | None = None
    """Which figure of a tensor is exported."""
    out: Path | None = None
    tracking: str | None = None
    """Folder or address of a tracking server."""
    thumbnails: bool | None = None
    """Whether the report shows pictures of samples; None does not."""
    layers: bool | None = None
    """Whether the samples are those on which layers are compared, with an artifact that gives its tensors."""


@dataclass(frozen=True, slots=True)
class Written:
    """The result of an export."""

    places: tuple[str, ...]
    """Files, or the folder or address that was logged to."""
    notes: tuple[str, ...]
    """What was written, and how to open it, as sentences."""


@dataclass(frozen=True, slots=True)
class Export:
    """A form of another program."""

    options: frozenset[str]
    """The fields of `Asked` that it reads; others are refused."""
    judges: bool
    """Whether it tells the verdict about a budget."""
    write: Callable[[Subject, Asked], Written]
    """Writes a study.

    Raises UsageError for an option that the study cannot meet or a program that is missing, and StudyError if the study
    lacks what is exported.
    """
