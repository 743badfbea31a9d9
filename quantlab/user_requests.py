"""What crosses between quantlab and the process that calls a user's own function: a loader or a metric."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from quantlab.ragged import RaggedKind

__all__ = [
    "REQUESTS",
    "Boxes",
    "Call",
    "Decode",
    "Element",
    "End",
    "Import",
    "Imported",
    "Next",
    "Number",
    "Request",
    "Values",
]


@dataclass(frozen=True, slots=True)
class Import:
    """Import the module: `Imported`, or `failed` where the function is not there."""

    request: ClassVar[str] = "import"
    function: str
    """`module:function`."""
    folder: str
    """Where arrays are written for the other side."""


@dataclass(frozen=True, slots=True)
class Next:
    """Call the loader, or take the next thing that it yields: `Element`, or only `done` at the end."""

    request: ClassVar[str] = "next"
    most: int | None = None
    """Number of samples after which nothing more is taken; None takes as many as suit."""
    batches: bool = False
    """Whether an element counts as the samples along its first dimension, or else as one."""


@dataclass(frozen=True, slots=True)
class End:
    """Close the generator that the loader returned, so that it can clear up."""

    request: ClassVar[str] = "end"


@dataclass(frozen=True, slots=True)
class Call:
    """Call the metric with arrays that lie in the folder: `Number`, or `Values` in the folder."""

    request: ClassVar[str] = "call"
    outputs: str
    """A `.npy` file, (n, …)."""
    labels: str
    """A `.npy` file, (n, …); with `offsets`, the values of all samples in a row."""
    indices: str | None
    """A `.npy` file of positions, with repetitions, that both are drawn at; None for all of them."""
    offsets: str | None = None
    """A `.npy` file that says where each sample's labels begin, (n + 1,); see `quantlab.ragged`."""
    kind: RaggedKind = ""
    """How labels with `offsets` are stored."""
    each: bool = False
    """Whether the function is called with one sample after the other, instead of the set."""


@dataclass(frozen=True, slots=True)
class Decode:
    """Call the function with the output of one sample after the other: `Boxes` in the folder."""

    request: ClassVar[str] = "decode"
    outputs: str
    """A `.npy` file, (n, …)."""


Request = Import | Next | End | Call | Decode
REQUESTS: Mapping[str, type[Request]] = {kind.request: kind for kind in (Import, Next, End, Call, Decode)}


@dataclass(frozen=True, slots=True)
class Imported:
    """The function is there."""

    type: ClassVar[str] = "imported"
    endless: bool
    """Whether its attribute `endless` says that a loader has no end."""


@dataclass(frozen=True, slots=True)
class Element:
    """What a loader gave at once, or several such that are alike: arrays as `.npy` files in the folder.

    The files are removed at the next request.
    """

    type: ClassVar[str] = "element"
    arrays: Mapping[str, str]
    """Name → file; the name is empty for bare samples."""
    whole: bool
    """Whether it is all there is, and so surely no single sample."""
    count: int | None = None
    """How many elements the arrays hold, along a dimension before all others; None for one, without that dimension."""
    labels: str | None = None
    """The file of the labels that came beside the samples."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Name → why that is no array; of one that the model does not take, it does not matter."""


@dataclass(frozen=True, slots=True)
class Values:
    """Numbers that a metric returned for each sample."""

    type: ClassVar[str] = "values"
    file: str
    """A `.npy` file, float64 (n,) or (n, 2); it is overwritten by the next call."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes of all samples; both files are overwritten by the next request."""

    type: ClassVar[str] = "boxes"
    file: str
    """A `.npy` file, float64 (m, 6), of all samples in a row."""
    offsets: str
    """A `.npy` file that says where the boxes of each sample begin, (n + 1,)."""


@dataclass(frozen=True, slots=True)
class Number:
    """Result of a metric, as text for `float`, because JSON has no NaN."""

    type: ClassVar[str] = "number"
    value: str
