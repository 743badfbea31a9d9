"""The side of the study: tasks are sent, tried again, and their results are joined in the order of the shards."""

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from quantlab.engines import Workers
from quantlab.errors import TrialError
from quantlab.processes import LONGEST_WAIT_SECONDS, ChildDied, Document
from quantlab.runtimes import Job
from quantlab.samples import ROUNDS, CutSamples
from quantlab.store import Store, key_of
from quantlab.study.depot.objects import ObjectDepot
from quantlab.study.shards.cutting import cut, is_cut_of
from quantlab.study.shards.delivery import RESULTS, Delivery, SharedFolder, ThroughObjects
from quantlab.study.shards.earlier import JOINED, EarlierShard, copy_earlier, find_earlier, joined_shard
from quantlab.study.shards.joining import JoinedRun, joined_run
from quantlab.study.shards.machine import this_worker
from quantlab.study.shards.one_shard import Asked, OneShard, ShardedRun
from quantlab.study.shards.options import ShardOptions
from quantlab.study.shards.results import (
    hash_rows_of,
    read_result,
    remove_unfinished,
    result_file,
    row_bytes,
)
from quantlab.study.shards.rounds import Rounds
from quantlab.study.shards.task import Ran, Task
from quantlab.types import JoinedShards, Shard, Shards, ShardWorker

__all__ = ["RUN_TASK", "JoinedRun", "ShardedRun", "Sharding"]

RUN_TASK = "quantlab.study.shards.worker:run_task"
"""What workers call with a task."""

_LEAST_PRESENT = 4
"""So many shards are on the disk that runs of different speed need not wait for each other all the time."""

_MOST_AT_ONCE = 8
"""Most runs that go on at the same time where each reads the samples: their outputs are on the disk."""

_SILENT_SECONDS = 60.0
"""A result of another machine to which nothing was written for so long is not finished any more."""

_APPEARS_SECONDS = 60.0
"""A file that another machine has made is seen here by then: NFS may remember for as long that there was none."""


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
    _rounds: Rounds | None = None
    """Where the samples come from, if few of them are on the disk."""
    _ended: ExitStack = field(default_factory=ExitStack)

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
        shards, earlier = self.shards_of(run.job.stop), find_earlier(self.store, run.stored)
        # One after the other, since the samples of a shard are hashed for its task: workers begin with the first.
        of_run = self._task_of_run(run)
        ones = (OneShard(self, run, shards, at, self._task(run, of_run, at, one)) for at, one in enumerate(shards))
        done = (self._sent if self._rounds is None else self._in_rounds)(ones, earlier, advanced)
        joined = [joined_shard(one.task.key, one.shard.start, one.shard.stop, told) for one, told in done]
        return joined_run(run.runtime, [told for _, told in done], JoinedShards(tuple(joined)))

    def _sent(
        self, ones: Iterable[OneShard], earlier: Mapping[str, EarlierShard], advanced: Callable[[int], None]
    ) -> list[tuple[OneShard, Ran]]:
        """All shards, whose samples are on the disk, and what they gave: all are sent at once."""
        sent = list[tuple[OneShard, Asked]]()
        try:
            for one in ones:
                sent.append((one, None if self._is_stored(one, earlier) else self.submit(one.task)))
            ran = [one.join(answer, advanced) for one, answer in sent]
            if self._unclear(ran):
                ran[0] = self._again(sent[0][0])
            return [(one, self._with_these_kernels(one, told)) for (one, _), told in zip(sent, ran, strict=True)]
        finally:
            for _, answer in sent:
                if answer is not None:
                    answer.cancel()

    def _in_rounds(
        self, every: Iterable[OneShard], earlier: Mapping[str, EarlierShard], advanced: Callable[[int], None]
    ) -> list[tuple[OneShard, Ran]]:
        """The same for samples that are read again: each shard is sent when it is there."""
        ones, ran = [*every], dict[int, Ran]()
        for one in ones:
            if self._is_stored(one, earlier) and (told := one.stored()) is not None:
                ran[one.place] = told
                advanced(one.shard.count)
        self._take_part(ones, {one.place for one in ones} - ran.keys(), ran, advanced)
        if self._unclear(ran.values()):
            self._take_part(ones, {0}, ran, lambda _: None)
        others = {place for place, told in ran.items() if not self._has_these_kernels(told)}
        self._take_part(ones, others, ran, lambda _: None)
        for told in ran.values():
            self.use(told.worker)
        return [(one, ran[one.place]) for one in ones]

    def _take_part(
        self, ones: Sequence[OneShard], wanted: set[int], ran: dict[int, Ran], advanced: Callable[[int], None]
    ) -> None:
        """Run some shards as their samples are read; a result that is there is made again."""
        assert self._rounds is not None  # noqa: S101 (the caller has asked)
        for place in wanted & ran.keys():
            self.delivery.drop(ones[place].task.key)
        sent = dict[Future[Document], OneShard]()
        with self._rounds.subscribe(wanted) as subscriber:
            try:
                while (arrived := subscriber.next(lambda: any(map(Future.done, sent)))) is not None or sent:
                    if arrived is not None:
                        one = ones[arrived.number].with_samples(arrived.samples)
                        answer = self.submit(one.task)
                        sent[answer] = one
                        answer.add_done_callback(lambda _: subscriber.wake())
                        continue
                    answer = next(filter(Future.done, sent), next(iter(sent)))
                    one = sent.pop(answer)
                    ran[one.place] = one.join(answer, advanced)
                    subscriber.done(one.place)
            finally:
                for answer in sent:
                    answer.cancel()

    def read_in_rounds(self, samples: CutSamples, folder: Path) -> None:
        """Let runs take the samples as they are read, for the rest of the study.

        Args:
            samples: The scored samples.
            folder: Receives a folder with those of a few shards; the workers see it.
        """
        # Of this call alone: a thread of an earlier one may still wait for a user's function, and write then.
        own = folder.absolute() / f"{ROUNDS}{self.call}"
        self._rounds = self._ended.enter_context(Rounds(samples, own, self.present))

    @property
    def present(self) -> int:
        """Most shards on the disk at a time, if few samples are kept: so many that every worker has one."""
        return max(_LEAST_PRESENT, self._count + 2)

    @property
    def at_once(self) -> int | None:
        """Number of runs that go on at the same time and share what is read; None for the usual number.

        With as many as there are workers, each worker keeps one variant open.
        """
        return None if self._rounds is None else min(_MOST_AT_ONCE, max(1, self._count))

    def _unclear(self, ran: Iterable[Ran]) -> bool:
        """Whether results of several processors are stored, and no worker has told yet with which of them it agrees."""
        return self._first is None and len({told.worker.instructions for told in ran}) > 1

    def forget(self, shards: JoinedShards) -> None:
        """Remove results that are joined and recorded."""
        self.delivery.forget({shard.key for shard in shards.shards})

    def kept(self, stored: Path) -> None:
        """Hear of a run that is not run again: remember its workers, and remove results that a killed call has left."""
        joined = self.store.read(stored / JOINED, JoinedShards)
        shards = () if joined is None else joined.shards
        with self._lock:
            self._earlier |= {shard.worker.host: shard.worker for shard in shards}
        left = {shard.key for shard in shards if result_file(self.folder, shard.key).exists()}
        if left:
            self.delivery.forget(left)

    def stop(self) -> None:
        """End the waiting for workers in all threads, as on Ctrl-C; they raise ChildDied."""
        self._stopped.set()
        if self._rounds is not None:
            self._rounds.stop()

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
        self._ended.close()
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

    def _task_of_run(self, run: ShardedRun) -> Task:
        """What is the same in the tasks of all shards; its hash names what is opened for them."""
        inputs, outputs = (
            tuple(replace(file, file="", offset=0) for file in files) for files in (run.job.inputs, run.job.outputs)
        )
        task = Task(
            key="",
            call=self.call,
            folder=str(self.folder.absolute()),
            runtime=run.runtime,
            job=replace(_anywhere(run.job), start=0, stop=0, inputs=inputs, outputs=outputs),
            inputs_sha256="",
            artifact_sha256=run.artifact_sha256,
            model_sha256=run.model_sha256,
            kind=run.kind,
            environment=run.environment,
            quantlab=version("quantlab"),
            time_limit=self.time_limit,
            custom=run.custom,
        )
        return replace(task, affinity=key_of(task.document()))

    def _task(self, run: ShardedRun, of_run: Task, place: int, shard: Shard) -> Task:
        inputs = tuple(replace(file, offset=file.offset + shard.start * row_bytes(file)) for file in run.job.inputs)
        samples = self._inputs_sha256(run.job, place, shard)
        key = key_of({**run.identity, "inputs": samples, "count": shard.count})
        job = replace(of_run.job, stop=shard.count, inputs=inputs)
        return replace(of_run, key=key, inputs_sha256=samples, job=job)

    def shards_of(self, n: int) -> tuple[Shard, ...]:
        """Choose the shards of all runs on n samples, and record them: an interrupted study goes on with the same.

        If nothing is said, an existing study keeps its shards, however many workers there are now.
        """
        with self._lock:
            if self._cut and self._cut[-1].stop == n:
                return self._cut
            asked = (self.options.shards, self.options.shard_size) != (None, None)
            kept = () if asked or self._before is None else self._before.shards
            if is_cut_of(kept, n, batch_size=self.batch_size):
                self._cut = kept
            else:
                number = self.options.number(self._count)
                self._cut = cut(n, batch_size=self.batch_size, shards=number, shard_size=self.options.shard_size)
            self.store.write_shards(Shards(self.options.engine, self._cut, ()))
            return self._cut

    def _inputs_sha256(self, job: Job, number: int, shard: Shard) -> str:
        """The hash of a shard's samples, which several runs share.

        Raises:
            TrialError: If the samples are read in rounds, and the run does not use all inputs.
        """
        if self._rounds is not None:
            return self._rounds.sha256_of(number, len(job.inputs))
        place = (*(file.file for file in job.inputs), shard.start, shard.stop)
        with self._lock:
            known = self._inputs.get(place)
        if known is None:
            known = hash_rows_of(job.inputs, shard.start, shard.stop)
            with self._lock:
                self._inputs[place] = known
        return known

    def _is_stored(self, one: OneShard, earlier: Mapping[str, EarlierShard]) -> bool:
        """Whether the result of a shard is there, perhaps from an earlier call or study."""
        task, run = one.task, one.run
        if not self._usable(task):
            copy_earlier(earlier, task.key, self.folder, run.job.outputs)
        if not self._usable(task):
            self.delivery.find(task.key)
        return self._usable(task)

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

    def _with_these_kernels(self, one: OneShard, told: Ran) -> Ran:
        """A shard's result; a stored one of another processor than that of the workers of this call is made again."""
        if not self._has_these_kernels(told):
            told = self._again(one)
        self.use(told.worker)
        return told

    def _again(self, one: OneShard) -> Ran:
        """A shard's result from a worker of this call, in place of a stored one."""
        self.delivery.drop(one.task.key)
        return one.join(self.submit(one.task), lambda _: None)


def _anywhere(job: Job) -> Job:
    """The job for a process with another current folder."""
    model = job.options.model
    if model is None:
        return job
    return replace(job, options=replace(job.options, model=replace(model, path=str(Path(model.path).absolute()))))
