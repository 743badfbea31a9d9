"""Outputs that another program or device made, which became rows of a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from quantlab.types.trial import Failure, KeptOutputs

__all__ = ["ImportedLayers", "ImportedOutputs", "Imports", "Matching"]

Matching = Literal["checksums", "hash", "order", "fed"]
"""How outputs were matched with the samples: by the checksum of each sample that the program was fed, by the hash of
all samples alone, because the user vouched for their order, or because quantlab itself fed a device."""


@dataclass(frozen=True, slots=True)
class ImportedLayers:
    """Tensors inside a variant that another program wrote, for the samples on which a study compares layers."""

    source: str
    """The file or folder as the user wrote it."""
    files: Mapping[str, Path]
    """Tensor of the artifact → `.npy` file of float32, (samples, …), channels last."""
    sha256: Mapping[str, str]
    """Tensor → SHA-256 of its file."""
    samples_sha256: str
    """Identity of the layer samples (`Inside.layer_samples`); those of others are not compared."""


@dataclass(frozen=True, slots=True)
class ImportedOutputs:
    """The outputs of one variant that another program, device or server made for the samples of a study."""

    setting: str
    """Name of the setting, or of the variant that the user gave."""
    runtime: str
    """Name that the user gave to the program, for example `my-app`, or a runtime of a device."""
    source: str
    """The file as the user wrote it, or the device in words."""
    matching: Matching
    samples_sha256: str
    """Hash of the samples; rows of other samples are left out of the table."""
    variant_sha256: str
    """Hash of the artifact that the study had when the outputs were imported."""
    kept: KeptOutputs | None
    """The outputs; its environment is what the program told of itself. None if a device could not run the variant."""
    notes: tuple[str, ...] = ()
    """Remarks for the row."""
    layers: ImportedLayers | None = None
    """Tensors inside the variant; None if the program wrote none."""
    failure: Failure | None = None
    """Why a device could not run the variant."""
    timed: bool = False
    """Whether the times of `kept` are those of the device; the times of programs are not known."""


@dataclass(frozen=True, slots=True)
class Imports:
    """All imported outputs of a study; the content of `imported.json`."""

    rows: tuple[ImportedOutputs, ...] = ()
    schema: int = 1
    """Version of the file's layout."""
