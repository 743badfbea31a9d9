"""Messages from a child process: one JSON object per line on standard output; the key `type` names the class.

A request is answered by any number of messages; the last is `Done` or `Failed`. A process that runs a variant sends
`Ready` after loading it, `Progress` after each batch, and `Repeated` after the last one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from quantlab.types.layers import TapSpec
from quantlab.types.model import ModelDescription
from quantlab.types.reference import RescalingLayer, TrainingLayer
from quantlab.types.repeated import Repeated

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
    "Prepared",
    "Probed",
    "Progress",
    "Ready",
    "Repeated",
    "SpoiledWeights",
    "TapList",
    "Tapped",
    "Timed",
    "Tried",
    "TriedOutput",
    "Unread",
    "Waiting",
]


@dataclass(frozen=True, slots=True)
class Ready:
    """The variant is loaded."""

    type: ClassVar[str] = "ready"
    ran_on: str
    """The runtime that actually executes the variant."""
    environment: Mapping[str, str]
    """Versions and flags that affect the outputs, besides those that the parent already knows."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The outputs of one or more batches have been written."""

    type: ClassVar[str] = "progress"
    done: int
    """Number of samples done, counted from the first sample of the set."""
    batch: int
    """Number of samples in these batches; the first batch of a job is alone."""
    seconds: float
    """Time inside the model's calls for them."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A process waits: for the request to time a variant, after a slow start, or for a device that is away."""

    type: ClassVar[str] = "waiting"


@dataclass(frozen=True, slots=True)
class Timed:
    """Run times and memory of a variant; see `TimingPlan`."""

    type: ClassVar[str] = "timed"
    load_ms: float
    first_run_ms: float
    runs_ms: tuple[float, ...]
    """Milliseconds of each call, without the warm-up calls."""
    idle_memory_bytes: int | None
    """Peak memory before the variant is loaded; None if the host does not report it."""
    peak_memory_bytes: int | None
    """Peak memory after the last call; None if the host does not report it."""
    memory_reason: str | None
    """Why memory was not measured, otherwise None."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The model has been opened."""

    type: ClassVar[str] = "opened"
    description: ModelDescription
    source: str
    """Path that converters start from: the exported SavedModel, or the model's own file."""
    format: str | None
    """Format of the source if it is already an artifact, otherwise None."""
    training_layers: tuple[TrainingLayer, ...] = ()
    """Layers that may answer as in training."""
    rescaling: tuple[RescalingLayer, ...] = ()
    """Layers that scale the inputs."""


@dataclass(frozen=True, slots=True)
class OutputShape:
    """Actual shape and data type of one output of the reference."""

    shape: tuple[int, ...]
    """Shape for one sample, without the batch dimension."""
    dtype: str


@dataclass(frozen=True, slots=True)
class Probed:
    """The reference's behaviour on a few samples: run twice as a batch, one sample at a time, and in Keras."""

    type: ClassVar[str] = "probed"
    outputs: tuple[OutputShape, ...]
    again: float
    """Largest difference between two identical calls, as a share of the largest output value."""
    single: float
    """Largest difference between running samples one at a time and as a batch, as a share of the largest value."""
    call: float | None = None
    """Largest difference between `model(x)` in Keras and the export, as a share of the largest value; None without
    a Keras model, or if neither repeats itself."""
    predict: float | None = None
    """The same for `model.predict(x)`."""


@dataclass(frozen=True, slots=True)
class SpoiledWeights:
    """The reference's variables that hold NaN or infinity, see `spoiled_weights`."""

    type: ClassVar[str] = "spoiled-weights"
    weights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TapList:
    """Every tensor inside a graph, in execution order."""

    type: ClassVar[str] = "taps"
    taps: tuple[TapSpec, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Location of one tensor, for all requested samples, in a session's file; C order, little-endian."""

    name: str
    offset: int
    """Byte offset in the file."""
    shape: tuple[int, ...]
    """Shape for one sample."""
    dtype: str = "float32"
    computed_in: str | None = None
    """Data type in which the library holds the tensor, if it reports one."""
    inexact: int = 0
    """Number of values that float32 cannot represent exactly, and that were rounded."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A tensor that could not be read, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tapped:
    """The tensors inside a variant for some samples, and the model's outputs from the same run."""

    type: ClassVar[str] = "tapped"
    start: int
    stop: int
    tensors: tuple[Block, ...]
    outputs: tuple[Block, ...]
    """The model's outputs, in the reference's data types."""
    failed: tuple[Unread, ...]
    seconds: float
    """Time inside the model's calls and copying the results to the host."""


@dataclass(frozen=True, slots=True)
class TriedOutput:
    """One output of a call."""

    name: str
    file: str
    """Its bytes and nothing else; C order, little-endian."""
    shape: tuple[int, ...]
    """The whole shape."""
    dtype: str
    """NumPy's name."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one call."""

    type: ClassVar[str] = "tried"
    outputs: tuple[TriedOutput, ...]
    """In the artifact's order; empty if the call was refused."""
    refused: str | None
    """What the library said, in one line; None if it answered."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The pixels that a step of a pipeline gave for a picture, or the reason why it gave none."""

    type: ClassVar[str] = "prepared"
    place: int
    """Index of the picture in the request."""
    step: str
    offset: int
    """Byte offset of the pixels in the request's target."""
    shape: tuple[int, ...]
    """Height, width and channels; empty if there are none."""
    dtype: str
    """`uint8` or `float32`; empty if there are none."""
    reason: str | None
    """Why there are none, otherwise None."""


@dataclass(frozen=True, slots=True)
class Converting:
    """The converter has started on this scheme."""

    type: ClassVar[str] = "converting"
    scheme: str


@dataclass(frozen=True, slots=True)
class Converted:
    """The artifact of this scheme has been written."""

    type: ClassVar[str] = "converted"
    scheme: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """The request succeeded."""

    type: ClassVar[str] = "done"
    ending: bool = False
    """Whether the process exits and accepts no further request."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The request failed."""

    type: ClassVar[str] = "failed"
    reason: str
    missing_op: str | None = None
    """The op that the backend does not support, if that is the cause."""
    expected: bool | None = None
    """True if quantlab wrote the reason, False if a library raised it, None if the child does not report it."""


Message = (
    Ready
    | Progress
    | Repeated
    | Waiting
    | Timed
    | Opened
    | Probed
    | SpoiledWeights
    | TapList
    | Tapped
    | Tried
    | Prepared
    | Converting
    | Converted
    | Done
    | Failed
)

MESSAGES: Mapping[str, type[Message]] = {
    kind.type: kind
    for kind in (
        Ready,
        Progress,
        Repeated,
        Waiting,
        Timed,
        Opened,
        Probed,
        SpoiledWeights,
        TapList,
        Tapped,
        Tried,
        Prepared,
        Converting,
        Converted,
        Done,
        Failed,
    )
}
"""Message classes by their `type`."""
