"""How far every output of the model strays: figures of outputs and their channels, and those that became constant."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from quantlab.types.limits import ERROR_FIGURES, FigureName

__all__ = ["ConstantOutput", "OutputComparison", "OutputFigure", "OutputRow"]


@dataclass(frozen=True, slots=True)
class ConstantOutput:
    """An output, or one channel of it, that a variant gives constant although it varies in the reference.

    Constant means: one value everywhere, or the same values for every sample.
    """

    output: str
    """Name of the model's output."""
    channel: int | None = None
    """Index along the last axis; None if the whole output is constant."""
    minimum: float = 0.0
    """Smallest value of the variant."""
    maximum: float = 0.0
    """Largest value of the variant; it differs from `minimum` if the values of a sample differ from each other."""
    reference_minimum: float = 0.0
    """Smallest value of the reference."""
    reference_maximum: float = 0.0
    """Largest value of the reference."""
    channels: tuple[int, ...] = ()
    """If the whole output is constant: indices of the channels that vary in the reference; empty if it has only one."""

    def allowed_by(self, names: Collection[str]) -> bool:
        """Whether names allow it: that of its output, its own, or those of all channels that vary in the reference.

        >>> ConstantOutput("boxes", channels=(0, 1)).allowed_by(["boxes[0]", "boxes[1]"])
        True
        """
        if self.output in names or self.name in names:
            return True
        return bool(self.channels) and all(ConstantOutput(self.output, one).name in names for one in self.channels)

    @property
    def name(self) -> str:
        """`output` or `output[channel]`, as `--allow-constant` takes it.

        >>> ConstantOutput("mask").name, ConstantOutput("boxes", 4).name
        ('mask', 'boxes[4]')
        """
        return self.output if self.channel is None else f"{self.output}[{self.channel}]"


@dataclass(frozen=True, slots=True)
class OutputFigure:
    """A figure of an output, or of one channel of it, that a budget limits, with one-sided bounds over the samples."""

    figure: FigureName
    """`sqnr`, `cosine`, `max_abs_error` or `rmse`."""
    output: str
    """Name of the model's output."""
    channel: int | None
    """Index along the last axis; None for the whole output."""
    limit: float
    """The smallest or largest allowed value."""
    n: int
    """Number of samples."""
    value: float
    """The figure on these samples; NaN if it has no value, for example the cosine of zeros."""
    lower: float
    """One-sided lower bound; −∞ if nothing is known."""
    upper: float
    """One-sided upper bound; for the largest error, the largest one of these samples."""
    confidence: float
    """One-sided confidence of each bound."""
    method: str
    """Method of the bounds: `BCa bootstrap`, or `largest of the samples`, which is no bound for other samples."""

    @property
    def name(self) -> str:
        """`output` or `output[channel]`."""
        return self.output if self.channel is None else f"{self.output}[{self.channel}]"

    @property
    def used(self) -> float:
        """How much of the allowed error the bound uses: at most 1 if the limit is kept; infinite if it is unknown."""
        kind = ERROR_FIGURES[self.figure]
        allowed = kind.to_error(self.limit)
        error = kind.to_error(self.lower if kind.higher_is_better else self.upper)
        if math.isnan(error):
            return math.inf
        return error / allowed if allowed > 0 else math.inf if error > 0 else 0.0


@dataclass(frozen=True, slots=True)
class OutputRow:
    """Error of one output of one trial against the reference, or of one channel of it.

    Every output of the model has a row, scored or not, and rows of its channels below it: all of them up to 64,
    otherwise the ten worst. Elements that are not finite in the reference are left out and counted, and so are samples
    that are not scored because the reference is not finite there.
    """

    setting: str
    """Name of the setting, or of the variant that the user gave."""
    runtime: str
    """The runtime that was requested."""
    output: str
    """Name of the model's output."""
    channel: int | None
    """Index along the last axis, from 0; null for the whole output."""
    scored: bool
    """Whether this is the output that the scores are about."""
    shape: tuple[int, ...]
    """Shape of the output for one sample, without the axis of samples."""
    n: int
    """Number of samples."""
    count: int
    """Number of elements compared, over all samples."""
    left_out: int
    """Number of elements that are not compared, because they are NaN or infinite in the reference, or their sample is
    not scored."""
    different: int
    """Number of elements whose values differ; NaN differs from everything."""
    non_finite: int
    """Number of elements that are NaN or infinite in the variant and finite in the reference."""
    max_abs_error: float | None
    """Largest absolute error; infinite if an element is not finite, like the mean and the RMS; null if no element was
    compared, like the other errors, SQNR and cosine."""
    mean_abs_error: float | None
    """Mean absolute error."""
    rms_error: float | None
    """Root mean square (RMS) error."""
    bias: float | None
    """Mean error, variant − reference; NaN if an element is not finite."""
    sqnr_db: float | None
    """10·log₁₀(Σ reference² / Σ error²): ∞ without error, −∞ if the reference is all 0 or an element is not finite."""
    cosine: float | None
    """Cosine similarity with the reference; NaN if either is all zeros or has an element that is not finite."""
    minimum: float | None
    """Smallest finite value of the variant."""
    maximum: float | None
    """Largest finite value of the variant."""
    reference_minimum: float | None
    """Smallest finite value of the reference."""
    reference_maximum: float | None
    """Largest finite value of the reference."""
    constant: bool
    """Whether the variant gives one value, or the same values for every sample, where the reference varies."""
    constant_channels: tuple[int, ...] = ()
    """Indices of all channels that are constant in this sense; empty in rows of channels."""


@dataclass(frozen=True, slots=True)
class OutputComparison:
    """Figures of every output of every measured trial; the content of `output_figures.json`."""

    rows: tuple[OutputRow, ...]
    """In the order of the trials, the model's outputs and the channels."""
    reasons: tuple[str, ...] = ()
    """Why outputs have no rows, a sentence for each."""
    schema: int = 1
    """Version of the file's layout."""
