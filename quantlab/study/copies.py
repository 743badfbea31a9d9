"""Copies of artifacts that a JavaScript library can open, where it cannot open the artifact itself."""

from dataclasses import dataclass
from pathlib import Path

from quantlab.models import files_sha256
from quantlab.runtimes import Runtime
from quantlab.study.context import Context
from quantlab.types import Port, Variant

__all__ = ["OpenedArtifact", "opened_artifact"]


@dataclass(frozen=True, slots=True)
class OpenedArtifact:
    """The file or folder that a runtime opens."""

    path: Path
    note: str | None
    """Why it is a copy, for the row; None if it is the artifact."""

    @property
    def environment(self) -> dict[str, str]:
        """What outputs depend on besides the artifact: the bytes of the copy, which another quantlab may write."""
        return {} if self.note is None else {"copy": files_sha256(self.path)}


def opened_artifact(context: Context, variant: Variant, runtime: Runtime, tapped: Path | None = None) -> OpenedArtifact:
    """The artifact, or a copy in the study's `work` folder if the runtime's library cannot open the artifact.

    Args:
        context: The study.
        variant: The variant that runs.
        runtime: Where it runs.
        tapped: A tapped copy of the artifact, which is opened in its place; None for the artifact itself.

    Raises:
        ArtifactError: If the artifact cannot be read.
    """
    path = tapped or variant.path
    write = context.registries.formats[variant.format].write_for_javascript
    if write is None or not runtime.backend or not any(map(_may_be_refused, (*variant.inputs, *variant.outputs))):
        return OpenedArtifact(path, None)
    kind = "" if tapped is None else "-tapped"
    copy = context.store.work / "copies" / f"{variant.name}-{runtime.name}{kind}{path.suffix}"
    note = write(path, copy)
    return OpenedArtifact(path if note is None else copy, note)


def _may_be_refused(port: Port) -> bool:
    """Whether a library could refuse an input or output, so that the file is worth reading."""
    return port.codes is not None or None in port.shape
