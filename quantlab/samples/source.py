"""The contract of a source of samples, and helpers shared by all kinds: names, blocks, counts."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import SamplesError
from quantlab.names import counted, listed
from quantlab.samples.near import MOST_IMAGES
from quantlab.types import Preprocessing, Shard, TensorSpec
from quantlab.user_functions import STALL_SECONDS

Array = NDArray[Any]
Block = dict[str, Array]
"""Input name → consecutive samples, the same number for each input."""

BLOCK_BYTES = 4 * 2**20
"""Largest size of a block; with 600 MB of images, 4 MiB was faster than 1 MiB and 16 MiB."""

LABEL_NAMES = ("y", "labels")


@dataclass(frozen=True, slots=True)
class Cut:
    """How samples are cut into shards, of which only a few at a time are on the disk."""

    shards_of: Callable[[int], Sequence[Shard]]
    """Function from a number of samples to the shards into which they are cut."""
    present: int
    """Most shards that are on the disk at a time."""


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """How sources are read, and how many samples are selected."""

    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    """Preprocessing for folders of images; arrays are not preprocessed."""
    limit: int | None = None
    """Largest number of samples to score; None scores all that are not set aside for calibration."""
    seed: int = 0
    """Seed for all random sampling; 0 or more."""
    search: bool = False
    """Whether a part is set aside for the search of `quantlab tune`, and not scored."""
    labels: str | None = None
    """For samples without their own labels: a `.npy` file, a `.txt` or `.csv` file with one number per line, a `.jsonl`
    file with a JSON value per line, and for images a COCO `.json` file or a folder of masks."""
    ignore_label: int | None = None
    """Label of positions that are not scored, such as padding; None scores every label from 0."""
    slices: tuple[str, ...] = ()
    """Columns of tables by whose values scored samples are judged, each as `meta.csv:COLUMN`."""
    group: str | None = None
    """Key of groups of samples that are not independent, see `quantlab.samples.groups`."""
    never_scored: frozenset[bytes] = frozenset()
    """First `KEPT_BYTES` bytes of hashes of samples that are not scored, because something was tuned on them."""
    stall_seconds: float = STALL_SECONDS
    """Time limit for each element of a user's loader."""
    first: int | None = None
    """Number of samples that are read of a loader that has no end, at least 1; None refuses such a loader."""
    loaders: "Mapping[str, FileLoader] | None" = None
    """File suffix → function that opens the file; None uses `FILE_LOADERS`."""
    warn: Callable[[str], None] = lambda _: None
    """Called with a sentence where stored samples turn out to be damaged and are replaced, or what is not done."""
    reading: Callable[[], None] = lambda: None
    """Called once the first new samples were read: reading keeps about one core busy, and another one may prepare the
    next steps."""
    cut: Cut | None = None
    """How the scored samples are cut, if few of them are kept; None keeps all."""
    most_images: int = MOST_IMAGES
    """Number of images, of a part or with `--group duplicates` of a source, among which nearly equal ones are looked
    for; at least 1."""


@dataclass(frozen=True, slots=True)
class HeldTensor:
    """Name, shape and data type of a source's array for one input of the model."""

    name: str
    """Name of the model's input."""
    shape: tuple[int, ...]
    """Shape with n first; empty for a single number, which no input accepts."""
    dtype: np.dtype[Any]
    """Data type in the source, before conversion."""

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.shape[0] if self.shape else 0


@dataclass(frozen=True, slots=True)
class Source:
    """Samples at their original location and in their original data types; nothing is decoded before `read`."""

    text: str
    """The source as the user wrote it."""
    n: int
    """Number of samples, at least 1."""
    tensors: tuple[HeldTensor, ...]
    """One entry per input of the model, in its order."""
    labels: Array | None
    """int64 (n,) for classes, integers (n, …) for classes of positions, floats (n, …) for regression, objects (n,) of
    another shape for each sample; None without."""
    read: Callable[[Array], Iterator[Block]]
    """Function from ascending positions to their samples in that order, in blocks of any size."""
    preprocessing: str = ""
    """How files are turned into tensors, in words; empty if nothing is done."""
    files: tuple[str, ...] = ()
    """Name of each sample's file below the source, in its order; empty if samples are no files."""
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of the labels; empty where they have none."""
    endless: bool = False
    """Whether these are the first samples of a stream that has no end, of which no random sample can be drawn."""
    made_of: Callable[[Array], NDArray[np.uint64]] | None = None
    """Function from ascending positions to (k, 2): a hash of all that each sample depends on, by which one that was
    written before is copied (see `stored`). None if samples are cheap to read, or not all of it is known."""


FileLoader = Callable[..., Source]
"""Function that opens a file: called with its path and the keywords `text` (as the user wrote it) and `inputs`."""


@dataclass(frozen=True, slots=True)
class NamedArrays:
    """The assignment of a source's arrays to the model's inputs and to labels."""

    inputs: dict[str, str]
    """Input of the model → array name in the source."""
    labels: str | None


def match_names(held: Sequence[str], inputs: Sequence[TensorSpec], *, text: str) -> NamedArrays:
    """Find the inputs and the labels among the arrays of a source.

    Other arrays are ignored if there are labels. Without labels they are refused, because one of them may be the
    labels under another name, and samples would silently be scored without labels.

    Raises:
        SamplesError: If an input is missing, or there is another array and no labels.
    """
    wanted = [spec.name for spec in inputs]
    named = {name: name for name in wanted}
    if len(wanted) == 1 and "x" in held and (wanted[0] not in held or wanted[0] in LABEL_NAMES):
        named = {wanted[0]: "x"}
    missing = [name for name in named.values() if name not in held]
    if missing:
        alone = ", or 'x'" if len(wanted) == 1 else ""
        raise SamplesError(
            f"'{text}' holds {listed(held) or 'no arrays'}, but the model's inputs are {listed(wanted)}; "
            f"name the arrays after the model's inputs{alone}, and the labels 'y'"
        )
    rest = [name for name in held if name not in named.values()]
    labels = next((name for name in LABEL_NAMES if name in rest), None)
    if rest and labels is None:
        raise SamplesError(
            f"'{text}' holds {listed(rest)}, which is neither an input of the model ({listed(wanted)}) nor labels; "
            "name the labels 'y', or leave out arrays that are not needed"
        )
    return NamedArrays(inputs=named, labels=labels)


def only_input(inputs: Sequence[TensorSpec], *, text: str, kind: str) -> TensorSpec:
    """The model's only input, for sources that cannot hold several.

    Raises:
        SamplesError: If the model has several inputs.
    """
    if len(inputs) != 1:
        raise SamplesError(
            f"'{text}' is {kind} for a single input, but the model has the inputs "
            f"{listed([spec.name for spec in inputs])}; "
            "give a .npz file with an array for each, or a module:function that returns them by name"
        )
    return inputs[0]


def sample_bytes(tensors: Iterable[HeldTensor]) -> int:
    """Size of one sample in bytes, over all inputs; at least 1, so that it can be a divisor."""
    return max(1, sum(tensor.dtype.itemsize * math.prod(tensor.shape[1:]) for tensor in tensors))


def block_rows(tensors: Iterable[HeldTensor]) -> int:
    """Number of samples per block."""
    return max(1, BLOCK_BYTES // sample_bytes(tensors))


def raw_bytes(values: Array) -> memoryview:
    """The bytes of an array in C order, for files and hashes; empty for an array without elements."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def pieces(indices: Array, rows: int) -> Iterator[Array]:
    """Split positions into consecutive runs of at most `rows`."""
    for start in range(0, len(indices), rows):
        yield indices[start : start + rows]


def sample_count(tensors: Sequence[HeldTensor], *, text: str) -> int:
    """Number of samples in a source, which must be the same for all of its arrays.

    Raises:
        SamplesError: If the arrays differ in length, or are empty.
    """
    first = tensors[0]
    for other in tensors[1:]:
        if other.n != first.n:
            raise SamplesError(
                f"'{text}' holds {counted(first.n, 'sample')} of '{first.name}' but {other.n:,} of '{other.name}'; "
                "give the same number of samples for every input"
            )
    if first.n == 0:
        raise SamplesError(f"'{text}' holds no samples; give at least one, and several hundred for meaningful figures")
    return first.n
