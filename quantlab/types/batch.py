"""Many models, each with its own study: what became of each of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["BatchResult", "BatchState", "Done"]

BatchState = Literal["measured", "kept", "unchanged", "failed"]
"""`measured`: the study was made now. `kept`: nothing that it depends on has changed since it was made. `unchanged`:
the model was not asked for, because its files are those of a revision. `failed`: no study of it was made now."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a study was made from when all of its trials were measured; the content of `batch.json` in its folder."""

    key: str
    """Hash of the options, the files of the model and of the samples, and the versions of the packages."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """One model of a batch."""

    name: str
    model: Path
    """As the user wrote it."""
    data: str
    """As the user wrote it."""
    folder: Path
    """The folder of its study; it may not exist."""
    state: BatchState
    reason: str | None = None
    """Why it failed; otherwise None."""
    seconds: float = 0.0
    """Wall time in this call."""
