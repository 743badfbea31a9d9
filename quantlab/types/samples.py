"""The samples as every runtime is fed them, and how image files become samples."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from quantlab.types.model import TensorSpec

__all__ = ["Preprocessing", "SampleSet"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image file becomes a sample; every field is printed in the table's footer."""

    size: tuple[int, int] | None = None
    """Height and width in pixels; None takes the model's own, and leaves files of that size alone."""
    resize: str = "bilinear"
    """`nearest`, `bilinear`, `bicubic`, `lanczos` or `area`, all of Pillow, with half-pixel centres."""
    colour: str = "auto"
    """`rgb`, `bgr`, `grey`, or `auto`: rgb for three channels, grey for one."""
    scale: float = 1.0
    """What 0–255 is multiplied with, in float64, before it becomes the model's dtype."""
    offset: float = 0.0
    """Added after the scale."""


@dataclass(frozen=True, slots=True)
class SampleSet:
    """Samples as every runtime is fed them: one raw little-endian `.npy` file an input, the same order in each.

    The files are written once, when the set is opened, and only mapped from then on.
    """

    folder: Path
    """Holds `<input>.npy` of shape (n, *sample shape) and the model's dtype, and `labels.npy` if labelled."""
    inputs: tuple[TensorSpec, ...]
    """As the model names them, with the sample's own sizes; the batch dimension stays None."""
    n: int
    labelled: bool
    sha256: str
    """Of the inputs' bytes in order, their names, shapes and dtypes, and of the labels."""
    source: str
    """As the user wrote it."""
    available: int
    """How many samples the source holds."""
    drawn: str
    """How the subset was drawn, in words for the footer: `all`, `stratified, seed 0`, `random, seed 0`."""
    preprocessing: str = ""
    """What was done to files to make tensors of them, in words; empty where nothing was."""

    def input_file(self, name: str) -> Path:
        """The `.npy` file of the input called `name`, whose characters may be more than a file name can have."""
        return self.folder / f"input-{quote(name, safe='')}.npy"

    @property
    def labels_file(self) -> Path:
        """The `.npy` file of the labels; there only if `labelled`."""
        return self.folder / "labels.npy"
