"""What every kind of source becomes, and what the kinds share: names, blocks, counts."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import SamplesError
from quantlab.names import listed
from quantlab.types import Preprocessing, TensorSpec
from quantlab.user_functions import STALL_SECONDS

Array = NDArray[Any]
Block = dict[str, Array]
"""Consecutive samples by the name of the input, the same number of each."""

BLOCK_BYTES = 4 * 2**20
"""What a block of the source may weigh; 600 MB of images were written fastest so, against 1 and 16 MiB."""

LABEL_NAMES = ("y", "labels")


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """How sources are read and how much of them is drawn."""

    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    """For folders of images; arrays are fed as they are."""
    limit: int | None = None
    """How many samples are scored at most; None scores all that are not set aside for calibration."""
    seed: int = 0
    """Of every draw; 0 or more."""
    labels: str | None = None
    """A `.npy`, or a `.txt` or `.csv` with one number a line, for data that bring no labels of their own."""
    stall_seconds: float = STALL_SECONDS
    """How long a loader of the user's may say nothing."""
    loaders: "Mapping[str, FileLoader] | None" = None
    """What opens a file, by its suffix; None is those of quantlab."""


@dataclass(frozen=True, slots=True)
class HeldTensor:
    """What a source has for an input of the model."""

    name: str
    """The model's name for it."""
    shape: tuple[int, ...]
    """n first; empty for a lone number, which no input takes."""
    dtype: np.dtype[Any]
    """The source's own."""

    @property
    def n(self) -> int:
        """How many samples it holds."""
        return self.shape[0] if self.shape else 0


@dataclass(frozen=True, slots=True)
class Source:
    """Samples where the user has them, in the source's own dtypes; nothing is decoded until `read`."""

    text: str
    """As the user wrote it."""
    n: int
    """At least 1."""
    tensors: tuple[HeldTensor, ...]
    """One for each input of the model, in its order."""
    labels: Array | None
    """int64 (n,) for classes, floats (n, …) for regression, None without labels."""
    read: Callable[[Array], Iterator[Block]]
    """Takes ascending positions; yields their samples in that order, cut into blocks as the source likes."""
    preprocessing: str = ""
    """What is done to files to make tensors of them, in words."""


FileLoader = Callable[..., Source]
"""Called with the file, and by name `text`, as the user wrote it, and `inputs`, those of the model."""


@dataclass(frozen=True, slots=True)
class NamedArrays:
    """Which array of a source is which input, and which holds the labels."""

    inputs: dict[str, str]
    """Input of the model → name in the source."""
    labels: str | None


def match_names(held: Sequence[str], inputs: Sequence[TensorSpec], *, text: str) -> NamedArrays:
    """Tell inputs and labels among the arrays of a source.

    Arrays that are neither are left alone, unless no labels were found: then one of them may be the labels under
    another name, and leaving it alone would silently score without labels.

    Raises:
        SamplesError: If an input is missing, or an array is not understood and labels are missing.
    """
    wanted = [spec.name for spec in inputs]
    named = {name: name for name in wanted}
    if len(wanted) == 1 and "x" in held and (wanted[0] not in held or wanted[0] in LABEL_NAMES):
        named = {wanted[0]: "x"}
    missing = [name for name in named.values() if name not in held]
    if missing:
        alone = ", or 'x'" if len(wanted) == 1 else ""
        raise SamplesError(
            f"'{text}' holds {listed(held) or 'no arrays'}, but the model takes {listed(wanted)}; "
            f"name the arrays for the model's inputs{alone}, and the labels 'y'"
        )
    rest = [name for name in held if name not in named.values()]
    labels = next((name for name in LABEL_NAMES if name in rest), None)
    if rest and labels is None:
        raise SamplesError(
            f"'{text}' holds {listed(rest)}, which is neither an input of the model ({listed(wanted)}) nor labels; "
            "name labels 'y', or leave out what is not needed"
        )
    return NamedArrays(inputs=named, labels=labels)


def only_input(inputs: Sequence[TensorSpec], *, text: str, kind: str) -> TensorSpec:
    """The model's one input, for sources that cannot hold several.

    Raises:
        SamplesError: If the model takes several.
    """
    if len(inputs) != 1:
        raise SamplesError(
            f"'{text}' is {kind} and feeds one input, but the model takes {listed([spec.name for spec in inputs])}; "
            "give a .npz file with an array for each, or a module:function that returns them by name"
        )
    return inputs[0]


def sample_bytes(tensors: Iterable[HeldTensor]) -> int:
    """What one sample weighs, every input together; at least 1, so that it can divide."""
    return max(1, sum(tensor.dtype.itemsize * math.prod(tensor.shape[1:]) for tensor in tensors))


def block_rows(tensors: Iterable[HeldTensor]) -> int:
    """How many samples make a block."""
    return max(1, BLOCK_BYTES // sample_bytes(tensors))


def raw_bytes(values: Array) -> memoryview:
    """The values' bytes in C order, as files and hashes take them; empty for none."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def pieces(indices: Array, rows: int) -> Iterator[Array]:
    """The positions cut into consecutive runs of at most `rows`."""
    for start in range(0, len(indices), rows):
        yield indices[start : start + rows]


def sample_count(tensors: Sequence[HeldTensor], *, text: str) -> int:
    """How many samples a source holds, where each of its arrays says a number.

    Raises:
        SamplesError: If the arrays disagree, or hold none.
    """
    first = tensors[0]
    for other in tensors[1:]:
        if other.n != first.n:
            raise SamplesError(
                f"'{text}' holds {first.n:,} samples of '{first.name}' but {other.n:,} of '{other.name}'; "
                "give every input the same samples"
            )
    if first.n == 0:
        raise SamplesError(
            f"'{text}' holds no samples; give at least one, and some hundreds for figures that mean something"
        )
    return first.n
