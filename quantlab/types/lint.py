"""What `quantlab lint` finds in a model or an artifact, without samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "LintResult", "Severity", "Unread"]

Severity = Literal["error", "warning", "note"]
"""`error`: wrong results or a file that does not load; `warning`: likely a loss; `note`: a property to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A hazard in one file."""

    hazard: str
    """Id of the hazard, for example `F16-OVERFLOW`."""
    severity: Severity
    path: str
    """The file or folder, as the user gave it."""
    where: str
    """Layer, tensor or op; empty if it concerns the whole file."""
    sentence: str
    """What happens, with the values of this file."""
    see: str
    """How to see it."""
    remedy: str
    """What to do."""
    docs: str
    """Heading of the hazard in the documentation: `hazards.md#f16-overflow`."""
    measured: str = ""
    """What a study measured of it, for example the SQNR of the weight; empty without a study."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that could not be examined."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class LintResult:
    """Everything that one call found."""

    files: tuple[str, ...]
    """All paths that were given, in order."""
    findings: tuple[Finding, ...]
    """In the order of the files, and errors before warnings before notes."""
    unread: tuple[Unread, ...] = ()

    def __add__(self, other: "LintResult") -> "LintResult":
        """Both, this one first."""
        return LintResult((*self.files, *other.files), (*self.findings, *other.findings), (*self.unread, *other.unread))

    @property
    def counts(self) -> Mapping[Severity, int]:
        """Number of findings of each severity, also where it is 0."""
        severities: tuple[Severity, ...] = ("error", "warning", "note")
        return {severity: sum(found.severity == severity for found in self.findings) for severity in severities}
