"""The weights of a float32 artifact as a search sees them: kernels, the ways to store each, and what each way costs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quantlab.types import KernelChoice, Sharing, TunedWeights
from quantlab_converters.channel_codes import ChannelCodes
from quantlab_converters.hessians import HessianSums

__all__ = ["KernelOption", "RoundedKernel", "TunableWeights"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class RoundedKernel:
    """A kernel in codes of some bits."""

    codes: ChannelCodes
    noise: float
    """Squared error of the outputs in relation to their power; of their variances, if the bias is corrected.

    With a scale for each channel, the mean over the outputs, whose errors are then alike in relation to their power.
    With one in all, the sum of all errors in relation to the sum of all powers: the errors themselves are then alike.
    """
    shift: NDArray[np.float32] | None
    """What the bias of each output must become larger by, so that the mean of the outputs stays; None if the inputs are
    not known."""


@dataclass(frozen=True, slots=True, eq=False)
class KernelOption:
    """One way to store a kernel."""

    choice: KernelChoice | None
    """None for half floats."""
    rounded: RoundedKernel | None
    """Its codes; None for half floats."""
    noise: float
    """See `RoundedKernel`; of half floats, the mean over the outputs."""
    compressed_bytes: int
    """Bytes after deflate, with the scales and what the graph needs to decode it."""
    raw_bytes: int
    """The same before."""


class TunableWeights(Protocol):
    """The weights of one float32 artifact, whose folder or file is not changed."""

    @property
    def kernels(self) -> Mapping[str, int]:
        """Kernel → number of its values, for those that can be stored as codes."""

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensors that are multiplied with kernels whose Hessians are summed, without duplicates."""

    @property
    def halves(self) -> Mapping[str, int]:
        """Weight → number of its values, for those besides kernels that half floats can hold, with whatever error."""

    @property
    def swappable(self) -> bool:
        """Whether the float32 artifact with the weights of another one computes what that computes."""

    def sums_of(self, values: Mapping[str, Array], bounds: Mapping[str, float]) -> dict[str, HessianSums]:
        """Kernel → the Hessian of its inputs over some samples; kernels whose inputs are not all given are left out.

        Args:
            values: Tensor → (n, …).
            bounds: Tensor → its largest magnitude over all samples.
        """

    def choice(self, kernel: str, bits: int, sharing: Sharing) -> KernelChoice:
        """The choice that lowers the error most, as far as the artifact allows it."""

    def option(self, kernel: str, sums: HessianSums | None, choice: KernelChoice | None) -> KernelOption:
        """A kernel as a choice stores it; None stores half floats."""

    def affordable(self, gains: Mapping[str, float], options: Mapping[str, KernelOption]) -> frozenset[str]:
        """The kernels that may have a scale for each channel, because the artifact is hardly slower with them.

        Args:
            gains: Kernel → what that is worth, in any unit; those first that gain most for their time.
            options: Kernel → its codes with a scale for each channel.
        """

    def tuned(self, options: Mapping[str, KernelOption], halves: Collection[str]) -> TunedWeights:
        """The decisions that store kernels in these ways; all other weights stay as they are.

        Args:
            options: Kernel → how it is stored.
            halves: Other weights that become half floats.
        """

    def write(self, tuned: TunedWeights, folder: Path) -> None:
        """Write the artifact into an empty folder."""
