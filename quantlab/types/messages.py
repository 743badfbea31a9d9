"""What a child process says: one JSON object a line on its standard output, whose `type` tells which of these it is.

A request is answered by any number of messages; `Done` or `Failed` is the last. What runs variants says `Ready` when
the variant is loaded, and after each batch `Progress`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from quantlab.types.layers import TapSpec
from quantlab.types.model import ModelDescription

__all__ = [
    "MESSAGES",
    "Block",
    "Converted",
    "Converting",
    "Done",
    "Failed",
    "Message",
    "Opened",
    "OutputShape",
    "Probed",
    "Progress",
    "Ready",
    "TapList",
    "Tapped",
    "Timed",
    "Unread",
    "Waiting",
]


@dataclass(frozen=True, slots=True)
class Ready:
    """The variant is loaded."""

    type: ClassVar[str] = "ready"
    ran_on: str
    """The runtime that really runs it."""
    environment: Mapping[str, str]
    """Versions and flags that its outputs depend on, beyond what the parent knows."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The outputs of a batch are written."""

    type: ClassVar[str] = "progress"
    done: int
    """Samples so far, counted from the set's first."""
    batch: int
    """Samples of this batch."""
    seconds: float
    """Inside the model's calls."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A process that is slow to start has started, and waits to be told to time a variant."""

    type: ClassVar[str] = "waiting"


@dataclass(frozen=True, slots=True)
class Timed:
    """How long a variant took and what memory it held; see `TimingPlan`."""

    type: ClassVar[str] = "timed"
    load_ms: float
    first_run_ms: float
    runs_ms: tuple[float, ...]
    """A number a run, the warm-up left out."""
    idle_memory_bytes: int | None
    """The most that was held before the variant was loaded; None where the host does not tell."""
    peak_memory_bytes: int | None
    """The same after the last run."""
    memory_reason: str | None
    """Why memory is not known, else None."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A model is open."""

    type: ClassVar[str] = "opened"
    description: ModelDescription
    source: str
    """What converters start from: the exported SavedModel, or the model's own file."""
    format: str | None
    """Of a source that is an artifact already."""


@dataclass(frozen=True, slots=True)
class OutputShape:
    """What an output of the reference really is."""

    shape: tuple[int, ...]
    """Of one sample."""
    dtype: str


@dataclass(frozen=True, slots=True)
class Probed:
    """What the reference gives for a few samples, called twice and one by one."""

    type: ClassVar[str] = "probed"
    outputs: tuple[OutputShape, ...]
    again: float
    """How far a second call strays from the first, as a share of the largest value."""
    single: float
    """How far samples alone stray from the same in a batch."""


@dataclass(frozen=True, slots=True)
class TapList:
    """Every tensor inside a graph, in order of execution."""

    type: ClassVar[str] = "taps"
    taps: tuple[TapSpec, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Where a tensor of every sample asked for lies in a session's file, C order, little endian."""

    name: str
    offset: int
    """In bytes."""
    shape: tuple[int, ...]
    """Of one sample."""
    dtype: str = "float32"
    computed_in: str | None = None
    """The dtype that the library holds it in, where it tells."""
    inexact: int = 0
    """How many values float32 could not hold and were rounded."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A tensor that could not be read."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tapped:
    """The tensors inside a variant for some samples, and its outputs from the same run."""

    type: ClassVar[str] = "tapped"
    start: int
    stop: int
    tensors: tuple[Block, ...]
    outputs: tuple[Block, ...]
    """The model's own, in the reference's dtypes."""
    failed: tuple[Unread, ...]
    seconds: float
    """Inside the model's calls, with the download from where they ran."""


@dataclass(frozen=True, slots=True)
class Converting:
    """A converter works on a scheme from now on."""

    type: ClassVar[str] = "converting"
    scheme: str


@dataclass(frozen=True, slots=True)
class Converted:
    """A scheme's artifact is written."""

    type: ClassVar[str] = "converted"
    scheme: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """The request was done."""

    type: ClassVar[str] = "done"
    ending: bool = False
    """Whether the process takes no other request."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The request could not be done."""

    type: ClassVar[str] = "failed"
    reason: str
    missing_op: str | None = None
    """The op that a backend lacks, where that is why."""
    expected: bool | None = None
    """Whether the reason is a sentence of ours, and not what a library raised; None where the child does not tell."""


Message = (
    Ready | Progress | Waiting | Timed | Opened | Probed | TapList | Tapped | Converting | Converted | Done | Failed
)

MESSAGES: Mapping[str, type[Message]] = {
    kind.type: kind
    for kind in (
        Ready,
        Progress,
        Waiting,
        Timed,
        Opened,
        Probed,
        TapList,
        Tapped,
        Converting,
        Converted,
        Done,
        Failed,
    )
}
"""Every message by its `type`."""
