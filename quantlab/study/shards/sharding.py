"""The side of the study: tasks are sent, tried again, and their results are joined in the order of the shards."""

import contextlib
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from quantlab.engines import WorkerLost, Workers
from quantlab.errors import MissingOp, StudyError, TrialError
from quantlab.processes import LONGEST_WAIT_SECONDS, ChildDied, Document
from quantlab.runtimes import Job
from quantlab.store import Store, key_of
from quantlab.study.depot.objects import ObjectDepot
from quantlab.study.shards.cutting import cut, is_cut_of
from quantlab.study.shards.delivery import RESULTS, Delivery, SharedFolder, ThroughObjects
from quantlab.study.shards.earlier import JOINED, EarlierShard, copy_earlier, find_earlier, joined_shard
from quantlab.study.shards.joining import JoinedRun, joined_run
from quantlab.study.shards.machine import this_worker
from quantlab.study.shards.options import ShardOptions
from quantlab.study.shards.results import (
    copy_result,
    hash_rows_of,
    read_result,
    remove_unfinished,
    result_file,
    row_bytes,
)
from quantlab.study.shards.task import Answer, Died, Failed, Ran, Task, answer_from
from quantlab.types import JoinedShards, Shard, Shards, ShardWorker

__all__ = ["RUN_TASK", "JoinedRun", "ShardedRun", "Sharding"]

RUN_TASK = "quantlab.study.shards.worker:run_task"
"""What workers call with a task."""

_SILENT_SECONDS = 60.0
"""A result of another machine to which nothing was written for so long is not finished any more."""

_APPEARS_SECONDS = 60.0
"""A file that another machine has made is seen here by then: NFS may remember for as long that there was none."""

_DAMAGED = Died("its result was damaged", last=False)
_MISSING = Died("its result is not where its worker has left it", last=False)

_Asked = Future[Document] | None
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


@dataclass(slots=True)
class Sharding:
    """The shards of a study and the workers that run them. Threads may share it."""

    store: Store
    options: ShardOptions
    workers: Workers
    batch_size: int
    time_limit: float
    """Seconds without a message after which a runtime is ended."""
    depot: ObjectDepot | None = None
    """What the workers share with the command; None if they share the study's folder."""
    delivery: Delivery = field(init=False)
    call: str = field(default_factory=lambda: secrets.token_hex(8))
    """The name of this call of `analyze`, for claims."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _inputs: dict[tuple[object, ...], str] = field(default_factory=dict)
    _seen: dict[str, ShardWorker] = field(default_factory=dict)
    _earlier: dict[str, ShardWorker] = field(default_factory=dict)
    """Machines of rows that are not run again, by name."""
    _first: ShardWorker | None = None
    """The first worker of this call, with which all others are compared; None before the first answer of a cluster."""
    _cut: tuple[Shard, ...] = ()
    _count: int = 0
    """Number of workers at the start: a cluster may grow, and all runs of a study have the same shards."""
    _before: Shards | None = None
    """How the study was run before; None if it was not run in shards."""
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._count = self.workers.count
        self._before = self.store.read_shards()
        if self.options.address is None:  # then all workers are on this machine
            self._first = this_worker()
        folder = self.folder.absolute()
        appears = 0.0 if self.options.address is None else _APPEARS_SECONDS
        self.delivery = SharedFolder(folder, appears) if self.depot is None else ThroughObjects(self.depot, folder)

    @property
    def folder(self) -> Path:
        """Where results and claims lie until a run is complete."""
        return self.store.root / RESULTS

    def run(self, run: ShardedRun, advanced: Callable[[int], None]) -> JoinedRun:
        """Run a variant on all samples, and write its outputs into the job's files.

        Args:
            run: What is run.
            advanced: Called with the number of samples of each shard that has ended.

        Raises:
            TrialError: If a runtime reports a failure, or workers differ in what outputs depend on.
            ChildDied: If a shard ended its runtime or its worker twice.
        """
        self.folder.mkdir(exist_ok=True)
        self._cut_into_shards(run.job.stop)
        earlier, sent = find_earlier(self.store, run.stored), []
        try:
            for place in range(len(self._cut)):
                one = _OneShard(self, run, self._cut, place, self._task(run, self._cut[place]))
                sent.append((one, self._send(one.task, earlier, run)))
            ran = [one.join(asked, advanced) for one, asked in sent]
            if self._first is None and len({told.worker.instructions for told in ran}) > 1:
                # All were stored, and no worker has told yet with which of them it agrees.
                ran[0] = self._again(sent[0][0])
            ran = [self._with_these_kernels(one, told) for (one, _), told in zip(sent, ran, strict=True)]
        finally:
            for _, asked in sent:
                if asked is not None:
                    asked.cancel()
        shards = [
            joined_shard(one.task.key, one.shard.start, one.shard.stop, told)
            for (one, _), told in zip(sent, ran, strict=True)
        ]
        return joined_run(run.runtime, ran, JoinedShards(tuple(shards)))

    def forget(self, shards: JoinedShards) -> None:
        """Remove results that are joined and recorded."""
        for shard in shards.shards:
            self.delivery.forget(shard.key)

    def kept(self, stored: Path) -> None:
        """Hear of a run that is not run again: remember its workers, and remove results that a killed call has left."""
        joined = self.store.read(stored / JOINED, JoinedShards)
        for shard in joined.shards if joined is not None else ():
            with self._lock:
                self._earlier[shard.worker.host] = shard.worker
            if result_file(self.folder, shard.key).exists():
                self.delivery.forget(shard.key)

    def stop(self) -> None:
        """End the waiting for workers in all threads, as on Ctrl-C; they raise ChildDied."""
        self._stopped.set()

    def document_of(self, asked: Future[Document]) -> Document:
        """What a worker answers, waited for.

        Raises:
            ChildDied: If the study is stopped meanwhile.
            WorkerLost: If the worker ended.
        """
        while not wait([asked], LONGEST_WAIT_SECONDS).done:
            if self._stopped.is_set():
                raise ChildDied("the study was stopped before its worker had answered")
        return asked.result()

    def close(self) -> None:
        """Release the workers; results that are not joined, as of a run that failed, are kept for the next call."""
        self.workers.close()
        # Workers of this machine have ended by now; others may still write.
        remove_unfinished(self.folder, silent_seconds=0 if self.options.address is None else _SILENT_SECONDS)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def record(self) -> Shards:
        """How the study was run."""
        with self._lock:
            if not self._cut and self._before is not None:  # nothing had to run
                return self._before
            workers = self._earlier | self._seen
            return Shards(self.options.engine, self._cut, tuple(workers[host] for host in sorted(workers)))

    def submit(self, task: Task) -> Future[Document]:
        """Send a task to a worker."""
        return self.workers.submit(RUN_TASK, self.delivery.packed(task).document())

    def use(self, worker: ShardWorker) -> None:
        """Remember a worker whose result is used."""
        with self._lock:
            self._seen[worker.host] = worker

    def refuse_other_kernels(self, worker: ShardWorker) -> None:
        """Compare a worker that has answered with the first one of this call.

        Raises:
            TrialError: If its processor has other vector instructions.
        """
        with self._lock:
            first = self._first = self._first or worker
        if worker.instructions == first.instructions:
            return
        only = sorted(set(worker.instructions) ^ set(first.instructions))
        raise TrialError(
            f"the processors of the workers on {first.host} and {worker.host} differ in {', '.join(only)}, by which "
            f"libraries choose kernels, so outputs may differ; use workers with the same processor"
        )

    def _task(self, run: ShardedRun, shard: Shard) -> Task:
        inputs = tuple(replace(file, offset=file.offset + shard.start * row_bytes(file)) for file in run.job.inputs)
        samples = self._inputs_sha256(run.job, shard)
        outputs = tuple(replace(file, file="", offset=0) for file in run.job.outputs)
        task = Task(
            key=key_of({**run.identity, "inputs": samples, "count": shard.count}),
            call=self.call,
            folder=str(self.folder.absolute()),
            runtime=run.runtime,
            job=replace(_anywhere(run.job), start=0, stop=shard.count, inputs=inputs, outputs=outputs),
            inputs_sha256=samples,
            artifact_sha256=run.artifact_sha256,
            model_sha256=run.model_sha256,
            kind=run.kind,
            environment=run.environment,
            quantlab=version("quantlab"),
            time_limit=self.time_limit,
            custom=run.custom,
        )
        return replace(task, affinity=_affinity(task))

    def _cut_into_shards(self, n: int) -> None:
        """Choose the shards of all runs, and record them at once: an interrupted study goes on with the same.

        If nothing is said, an existing study keeps its shards, however many workers there are now.
        """
        with self._lock:
            if self._cut and self._cut[-1].stop == n:
                return
            asked = (self.options.shards, self.options.shard_size) != (None, None)
            kept = () if asked or self._before is None else self._before.shards
            if is_cut_of(kept, n, batch_size=self.batch_size):
                self._cut = kept
            else:
                number = self.options.number(self._count)
                self._cut = cut(n, batch_size=self.batch_size, shards=number, shard_size=self.options.shard_size)
            self.store.write_shards(Shards(self.options.engine, self._cut, ()))

    def _inputs_sha256(self, job: Job, shard: Shard) -> str:
        """The hash of a shard's samples, which several runs share."""
        place = (*(file.file for file in job.inputs), shard.start, shard.stop)
        with self._lock:
            known = self._inputs.get(place)
        if known is None:
            known = hash_rows_of(job.inputs, shard.start, shard.stop)
            with self._lock:
                self._inputs[place] = known
        return known

    def _send(self, task: Task, earlier: Mapping[str, EarlierShard], run: ShardedRun) -> _Asked:
        """Send a task, unless its result is there from an earlier call or study."""
        if not self._usable(task):
            copy_earlier(earlier, task.key, self.folder, run.job.outputs)
        if not self._usable(task):
            self.delivery.find(task.key)
        return None if self._usable(task) else self.submit(task)

    def _usable(self, task: Task) -> bool:
        """Whether there is a result for a task; one that cannot be read, or of another processor, is removed."""
        stored = read_result(self.folder, task.key)
        if stored is not None and self._has_these_kernels(stored):
            return True
        if stored is not None:
            self.delivery.drop(task.key)
        result_file(self.folder, task.key).unlink(missing_ok=True)
        return False

    def _has_these_kernels(self, ran: Ran) -> bool:
        """Whether a stored result is as the workers of this call would give it, as far as these are known yet."""
        with self._lock:
            return self._first is None or ran.worker.instructions == self._first.instructions

    def _with_these_kernels(self, one: "_OneShard", told: Ran) -> Ran:
        """A shard's result; a stored one of another processor than that of the workers of this call is made again."""
        if not self._has_these_kernels(told):
            told = self._again(one)
        self.use(told.worker)
        return told

    def _again(self, one: "_OneShard") -> Ran:
        """A shard's result from a worker of this call, in place of a stored one."""
        self.delivery.drop(one.task.key)
        return one.join(self.submit(one.task), lambda _: None)


@dataclass(frozen=True, slots=True)
class _OneShard:
    """One shard of a run."""

    sharding: Sharding
    run: ShardedRun
    shards: Sequence[Shard]
    place: int
    task: Task

    @property
    def shard(self) -> Shard:
        """Its samples."""
        return self.shards[self.place]

    def join(self, asked: _Asked, advanced: Callable[[int], None]) -> Ran:
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

    def _outcome(self, asked: _Asked) -> Ran | Died:
        """What became of the shard; if it ran, its outputs are in their place."""
        answer = self._answer(asked)
        if isinstance(answer, Failed):
            raise (MissingOp if answer.missing_op else TrialError)(answer.reason)
        if isinstance(answer, Ran):
            if asked is not None:
                self.sharding.refuse_other_kernels(answer.worker)
            return answer if self._copied(answer) else _DAMAGED
        return answer

    def _answer(self, asked: _Asked) -> Answer:
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


def _affinity(task: Task) -> str:
    """Name of what is opened for a task: the hash of all that is the same for every shard of its run."""
    job = task.job
    inputs, outputs = (tuple(replace(file, file="", offset=0) for file in files) for files in (job.inputs, job.outputs))
    of_run = replace(task, key="", inputs_sha256="", job=replace(job, stop=0, inputs=inputs, outputs=outputs))
    return key_of(of_run.document())


def _anywhere(job: Job) -> Job:
    """The job for a process with another current folder."""
    model = job.options.model
    if model is None:
        return job
    return replace(job, options=replace(job.options, model=replace(model, path=str(Path(model.path).absolute()))))
