"""Outputs that another program wrote, which became rows of a study."""

from dataclasses import dataclass
from typing import Literal

from quantlab.types.trial import KeptOutputs

__all__ = ["ImportedOutputs", "Imports", "Matching"]

Matching = Literal["checksums", "hash", "order"]
"""How outputs were matched with the samples: by the checksum of each sample that the program was fed, by the hash of
all samples alone, or because the user vouched for their order."""


@dataclass(frozen=True, slots=True)
class ImportedOutputs:
    """The outputs of one variant that another program, device or server wrote for the samples of a study."""

    setting: str
    """Name of the setting, or of the variant that the user gave."""
    runtime: str
    """Name that the user gave to the program, for example `my-app`."""
    source: str
    """The file as the user wrote it."""
    matching: Matching
    samples_sha256: str
    """Hash of the samples; rows of other samples are left out of the table."""
    variant_sha256: str
    """Hash of the artifact that the study had when the outputs were imported."""
    kept: KeptOutputs
    """The outputs; its environment is what the program told of itself, and its timing is empty."""
    notes: tuple[str, ...] = ()
    """Remarks for the row."""


@dataclass(frozen=True, slots=True)
class Imports:
    """All imported outputs of a study; the content of `imported.json`."""

    rows: tuple[ImportedOutputs, ...] = ()
    schema: int = 1
    """Version of the file's layout."""
