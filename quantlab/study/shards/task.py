"""A task: one shard of the samples through one variant in one runtime; plain data, which any engine carries as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

from quantlab.processes import Document, tagged, untagged
from quantlab.runtimes import Job
from quantlab.types import Repeated, ShardWorker, Timing

__all__ = ["Answer", "Died", "Failed", "Ran", "Task", "Travelling", "answer_from", "task_from"]


@dataclass(frozen=True, slots=True)
class Travelling:
    """What a task needs from an object store. Its job names files below the folder into which they are fetched."""

    address: str
    """The address of the study; credentials are those of the worker's environment."""
    inputs: tuple[str, ...]
    """Hash of the object with each input of the job, in which the offset is that of the shard."""
    artifact: Mapping[str, str]
    """Name of each file of the artifact → hash of its object; empty for the reference."""
    model: Mapping[str, str]
    """The same for the model and its SavedModel; empty for a variant."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker must know."""

    type: ClassVar[str] = "task"
    key: str
    """Hash of everything that the outputs depend on: the name of the result."""
    call: str
    """Name of the call of `analyze` that sent it: each call has all attempts."""
    folder: str
    """The folder for results and claims, which all workers share; empty if they share an object store."""
    runtime: str
    job: Job
    """Its inputs begin at the first sample of the shard; its outputs name no files yet."""
    inputs_sha256: str
    """What `hash_inputs` gives for the samples."""
    artifact_sha256: str
    """Hash of the artifact's files; empty for the reference, and for a copy made for a runtime."""
    model_sha256: str
    """Hash of the model, if it is the reference that runs; empty for a variant."""
    kind: str
    """Kind of the model, if it is the reference that runs; empty for a variant."""
    environment: Mapping[str, str]
    """Versions and flags that the outputs depend on, as they are where the study runs."""
    quantlab: str
    """Version of quantlab where the study runs."""
    time_limit: float
    """Seconds without a message after which the runtime is ended."""
    custom: Mapping[str, str]
    """Module of `--custom` → hash of its code, if it is the reference that runs."""
    affinity: str = ""
    """Name of what is opened; the same for all shards of a run. An engine may prefer the worker that has it open."""
    travelling: Travelling | None = None
    """What it needs from an object store; None if the worker sees the files of the study."""

    def document(self) -> Document:
        """The task as JSON."""
        return tagged(self)


def task_from(document: Mapping[str, object]) -> Task:
    """The task in a JSON object.

    Raises:
        ValueError: If it is none.
    """
    return untagged(document, {Task.type: Task})


@dataclass(frozen=True, slots=True)
class Ran:
    """The result of a task lies where all workers and the command find it."""

    type: ClassVar[str] = "ran"
    sha256: str
    """Hash of the outputs, one behind the other."""
    ran_on: str
    """The backend that ran, as the child told it."""
    environment: Mapping[str, str]
    """What the child told about itself."""
    timing: Timing
    repeated: tuple[Repeated, ...]
    worker: ShardWorker

    def document(self) -> Document:
        """The answer as JSON."""
        return {"type": self.type, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Failed:
    """The variant could not be run; another worker would fail as well."""

    type: ClassVar[str] = "failed"
    reason: str
    missing_op: bool = False

    def document(self) -> Document:
        """The answer as JSON."""
        return tagged(self)


@dataclass(frozen=True, slots=True)
class Died:
    """The runtime ended in the middle of the shard, or took workers with it."""

    type: ClassVar[str] = "died"
    reason: str
    last: bool
    """Whether the task was tried often enough."""

    def document(self) -> Document:
        """The answer as JSON."""
        return tagged(self)


Answer = Ran | Failed | Died


def answer_from(document: Mapping[str, object]) -> Answer:
    """The answer in a JSON object.

    Raises:
        ValueError: If it is none.
    """
    return untagged(document, {Ran.type: Ran, Failed.type: Failed, Died.type: Died})
