"""`quantlab gate --attest FILE`: the statement about the artifact that is judged."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from quantlab.errors import ArtifactError

if TYPE_CHECKING:
    from quantlab.gate import Judged
    from quantlab.types import Variant

__all__ = ["Attest"]


@dataclass(frozen=True, slots=True)
class Attest:
    """A statement to be written, and what it is about."""

    path: Path
    judged: "Judged"
    variant: "Variant | None"
    artifact: Path | None
    """The files to be shipped; None means those in the study."""
    undecided: str

    @classmethod
    def of(cls, path: Path, judged: "Judged", artifact: Path | None, undecided: str) -> Self:
        """Find the artifact.

        Raises:
            UsageError: If several artifacts are judged.
        """
        from quantlab.gate import attested_variant

        return cls(path, judged, attested_variant(judged), artifact, undecided)

    def text(self) -> str:
        """The statement.

        Raises:
            ArtifactError: If there is no artifact, or its files are missing or changed.
        """
        from quantlab.gate import attestation_of
        from quantlab_reports.attestation import render_attestation

        if self.variant is None:
            raise ArtifactError("no artifact was made of the judged setting, so there is nothing to attest")
        files = self.artifact or self.variant.path
        return render_attestation(attestation_of(self.judged, self.variant, files, undecided=self.undecided))
