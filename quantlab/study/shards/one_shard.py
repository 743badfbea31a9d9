"""One shard of a run: its task, what became of it, and its outputs among those of all samples."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from quantlab.engines import WorkerLost
from quantlab.errors import MissingOp, StudyError, TrialError
from quantlab.npy import mapped
from quantlab.processes import ChildDied, Document
from quantlab.runtimes import Job
from quantlab.store import Store
from quantlab.study.shards.delivery import Delivery
from quantlab.study.shards.results import copy_result, read_result
from quantlab.study.shards.task import Answer, Died, Failed, Ran, Task, answer_from
from quantlab.types import SampleSet, Shard, ShardWorker

__all__ = ["Asked", "OneShard", "ShardedRun"]

_DAMAGED = Died("its result was damaged", last=False)
_MISSING = Died("its result is not where its worker has left it", last=False)

Asked = Future[Document] | None
"""The answer that a worker will give; None if the result is there already."""


@dataclass(frozen=True, slots=True)
class ShardedRun:
    """A run that is divided into tasks."""

    runtime: str
    job: Job
    """Over all samples; its outputs are the files into which results are joined."""
    identity: Mapping[str, object]
    """What the outputs depend on besides the samples."""
    artifact_sha256: str
    """Hash of the artifact that is opened; empty for the reference, and for a copy made for a runtime."""
    model_sha256: str
    """Hash of the model, if it is the reference; empty for a variant."""
    kind: str
    """Kind of the model, if it is the reference; empty for a variant."""
    environment: Mapping[str, str]
    """Versions and flags that the outputs depend on."""
    stored: Path
    """The folder in which outputs of the same setting and runtime are stored."""
    custom: Mapping[str, str] = field(default_factory=dict)
    """Module of `--custom` → hash of its code, if it is the reference."""


class Sender(Protocol):
    """What sends tasks, and has their results."""

    @property
    def store(self) -> Store:
        """The study."""

    @property
    def folder(self) -> Path:
        """Where results lie until a run is complete."""

    @property
    def delivery(self) -> Delivery:
        """How results reach the command."""

    def submit(self, task: Task) -> Future[Document]:
        """Send a task to a worker."""

    def document_of(self, asked: Future[Document]) -> Document:
        """What a worker answers, waited for; raises as `Sharding.document_of`."""

    def refuse_other_kernels(self, worker: ShardWorker) -> None:
        """Compare a worker with the first one of this call; raises TrialError if its processor differs."""


@dataclass(frozen=True, slots=True)
class OneShard:
    """One shard of a run."""

    sharding: Sender
    run: ShardedRun
    shards: Sequence[Shard]
    place: int
    task: Task

    @property
    def shard(self) -> Shard:
        """Its samples."""
        return self.shards[self.place]

    def join(self, asked: Asked, advanced: Callable[[int], None]) -> Ran:
        """Wait for its result, trying once more if need be, and write its outputs to their place.

        Raises:
            TrialError: If the runtime reports a failure, or the worker differs in what outputs depend on.
            StudyError: If its outputs cannot be written.
            ChildDied: If it ended its runtime or its worker twice.
        """
        shard = self.shard
        outcome = self._outcome(asked)
        if isinstance(outcome, Died) and not outcome.last:
            outcome = self._outcome(self.sharding.submit(self.task))
        if isinstance(outcome, Ran):
            advanced(shard.count)
            return outcome
        raise ChildDied(
            f"shard {self.place + 1} of {len(self.shards)} (samples {shard.start} to {shard.stop - 1}) was tried "
            f"twice, and the outputs of its samples are missing: {outcome.reason}"
        )

    def stored(self) -> Ran | None:
        """The same for a result that is there already; None if it was damaged, and is removed."""
        outcome = self._outcome(None)
        return outcome if isinstance(outcome, Ran) else None

    def with_samples(self, samples: SampleSet) -> "OneShard":
        """The same, for a task that reads the shard from files of its own."""
        files = {spec.name: samples.input_file(spec.name) for spec in samples.inputs}
        inputs = tuple(
            replace(one, file=str(files[one.name]), offset=int(mapped(files[one.name]).offset))
            for one in self.task.job.inputs
        )
        return replace(self, task=replace(self.task, job=replace(self.task.job, inputs=inputs)))

    def _outcome(self, asked: Asked) -> Ran | Died:
        """What became of the shard; if it ran, its outputs are in their place."""
        answer = self._answer(asked)
        if isinstance(answer, Failed):
            raise (MissingOp if answer.missing_op else TrialError)(answer.reason)
        if isinstance(answer, Ran):
            if asked is not None:
                self.sharding.refuse_other_kernels(answer.worker)
            return answer if self._copied(answer) else _DAMAGED
        return answer

    def _answer(self, asked: Asked) -> Answer:
        folder, key = self.sharding.folder, self.task.key
        if asked is None:
            return read_result(folder, key) or _DAMAGED
        try:
            document = self.sharding.document_of(asked)
        except WorkerLost as error:
            return Died(str(error), last=False)
        try:
            answer = answer_from(document)
        except ValueError as error:
            raise TrialError(f"a worker answered {error}; install the same quantlab on all workers") from error
        brought = not isinstance(answer, Ran) or self.sharding.delivery.bring(key)
        return answer if brought else _MISSING

    def _copied(self, ran: Ran) -> bool:
        shard, outputs = self.shard, self.run.job.outputs
        folder, key = self.sharding.folder, self.task.key
        try:
            whole = copy_result(folder, key, ran, outputs, start=shard.start, count=shard.count)
        except OSError as error:
            raise StudyError(
                f"the outputs of samples {shard.start} to {shard.stop - 1} cannot be joined with the others in "
                f"'{self.sharding.store.root}' ({error.strerror}); make room there, and run the same command again"
            ) from error
        if not whole:
            self.sharding.delivery.drop(key)
        return whole
