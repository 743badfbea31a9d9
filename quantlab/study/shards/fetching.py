"""A task on a worker that shares nothing with the command but an object store: what it lacks is fetched by its hash."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir

from quantlab.errors import TrialError, UsageError
from quantlab.models import files_sha256
from quantlab.names import excerpt, without_controls
from quantlab.processes import OwnFolder
from quantlab.runtimes.exchange import TensorFile
from quantlab.store import key_of
from quantlab.study.depot.cache import Cache, user_cache
from quantlab.study.depot.damage import report_damage
from quantlab.study.depot.names import inside
from quantlab.study.depot.objects import DamagedObject, ObjectDepot, object_name
from quantlab.study.shards.claims import claimed
from quantlab.study.shards.delivery import RESULTS, result_name
from quantlab.study.shards.known_hashes import known_hash
from quantlab.study.shards.machine import this_worker
from quantlab.study.shards.results import hash_rows_of, ran_from, result_file, row_bytes
from quantlab.study.shards.task import Ran, Task, Travelling

__all__ = ["run_travelling"]

_LINE_BYTES = 2**18
"""More than the first line of a result has."""


def run_travelling(task: Task, travelling: Travelling, run: Callable[[Task], Ran]) -> Ran:
    """Claim a task in the store, fetch what it needs, run it, and store its result.

    Args:
        task: The task.
        travelling: What of it is in the store.
        run: Runs a task with files of this machine, and writes its result into the task's folder.

    Raises:
        QuantlabError: If the store cannot be used, or what `run` raises.
        Exhausted: See `claimed`.
    """
    _refuse_outside(task, travelling)
    depot = _depot(travelling.address)
    results, name = depot.within(RESULTS), result_name(task.key)
    with claimed(results, task.key, call=task.call, done=lambda: results.size(name) is not None) as mine:
        kept = None if mine else _told(results, name)
        if kept is not None:
            return kept
        try:
            with ExitStack() as held:
                folder = held.enter_context(OwnFolder("shard-result")).path
                own = _rows(_opened(task, travelling, depot, held), travelling, depot, held)
                ran = run(replace(own, folder=str(folder), travelling=None))
                results.put(name, result_file(folder, task.key))
        except DamagedObject as error:
            report_damage(depot, error.hashes)
            raise
        except OSError as error:
            # A disk that is full while a file is written is not told with the file.
            places = f"'{error.filename or _cache_folder()}'" + ("" if error.filename else f" or '{gettempdir()}'")
            raise TrialError(
                f"the worker on {this_worker().host} cannot use {places} ({error.strerror or error}); make room there, "
                f"or set XDG_CACHE_HOME and TMPDIR to other folders"
            ) from error
        return ran


def _refuse_outside(task: Task, travelling: Travelling) -> None:
    """Refuse a task that would write or read files elsewhere than where its own are fetched to.

    Raises:
        TrialError: If it is one.
    """
    model = task.job.options.model
    named = [*travelling.artifact, *travelling.model, *(one.file for one in task.job.options.external_data)]
    # A folder that is fetched as a whole is named by a dot.
    named += [name for name in (task.job.artifact, *((model.path, model.export) if model else ())) if name != "."]
    outside = [name for name in named if name and not inside(name)]
    if outside:
        raise TrialError(
            f"a task names the file '{excerpt(without_controls(outside[0]))}', which would not lie in the worker's "
            f"folder of fetched files, so it is not run; use the same quantlab here and on all workers"
        )


def _told(results: ObjectDepot, name: str) -> Ran | None:
    """What a result says of itself; None if there is none that can be read."""
    try:
        return ran_from(results.begin(name, _LINE_BYTES).partition(b"\n")[0])
    except FileNotFoundError:
        return None


def _opened(task: Task, travelling: Travelling, depot: ObjectDepot, held: ExitStack) -> Task:
    """The task with the artifact and the model on this machine."""
    job, model = task.job, task.job.options.model
    if travelling.artifact:
        folder = held.enter_context(_files(travelling.artifact, depot))
        external = tuple(replace(one, file=str(folder / one.file)) for one in job.options.external_data)
        options = replace(job.options, external_data=external)
        job = replace(job, artifact=str(folder / job.artifact), options=options)
    if model is not None:
        folder = held.enter_context(_files(travelling.model, depot))
        here = replace(model, path=str(folder / model.path), export=str(folder / model.export))
        job = replace(job, options=replace(job.options, model=here))
    return replace(task, job=job)


def _rows(task: Task, travelling: Travelling, depot: ObjectDepot, held: ExitStack) -> Task:
    """The task with the samples of its shard on this machine.

    Raises:
        DamagedObject: If they are missing in the store, or others.
    """
    job = task.job
    places = [(file.offset, file.offset + job.stop * row_bytes(file)) for file in job.inputs]

    def placed(folder: Path) -> tuple[TensorFile, ...]:
        return tuple(replace(file, file=str(folder / str(place)), offset=0) for place, file in enumerate(job.inputs))

    def fill(folder: Path) -> None:
        for sha256, (start, stop), file in zip(travelling.inputs, places, placed(folder), strict=True):
            try:
                depot.get_range(object_name(sha256), start, stop, Path(file.file))
            except FileNotFoundError as error:
                words = f"'{error}' is missing, though a task names it; run the command again"
                raise DamagedObject(words, sha256) from None
        if hash_rows_of(placed(folder), 0, job.stop) != task.inputs_sha256:
            words = f"the samples in '{depot.address}' are others than those of the study; run it again"
            raise DamagedObject(words, *travelling.inputs)

    def whole(folder: Path) -> bool:
        files = placed(folder)
        # The worker asks for the same hash before it runs the task, so it is computed once.
        ranges = (job.stop, *((file.offset, file.shape, file.dtype) for file in files))
        seen = known_hash((Path(file.file) for file in files), ranges, lambda: hash_rows_of(files, 0, job.stop))
        return seen == task.inputs_sha256

    name = key_of({"rows": list(travelling.inputs), "places": [list(place) for place in places]})
    return replace(task, job=replace(job, inputs=placed(held.enter_context(_cache().entry(name, fill, whole)))))


@contextmanager
def _files(files: Mapping[str, str], depot: ObjectDepot) -> Iterator[Path]:
    """A folder with files that are named by their hashes."""

    def fill(folder: Path) -> None:
        for name, sha256 in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            depot.get_object(sha256, folder / name)

    def whole(folder: Path) -> bool:
        return all(_has(folder / name, sha256) for name, sha256 in files.items())

    with _cache().entry(key_of({"files": dict(files)}), fill, whole) as folder:
        yield folder


def _has(file: Path, sha256: str) -> bool:
    return known_hash([file], "bytes", lambda: files_sha256(file)) == sha256


def _cache() -> Cache:
    return Cache(_cache_folder())


def _cache_folder() -> Path:
    return user_cache("fetched")


_depots: dict[str, ObjectDepot] = {}
_lock = threading.Lock()


def _depot(address: str) -> ObjectDepot:
    """The depot at an address, which lasts as long as the worker.

    Raises:
        UsageError: If a library is absent here.
        StudyError: If there are no credentials here.
    """
    with _lock:
        if address not in _depots:
            try:
                _depots[address] = ObjectDepot.at(address)
            except UsageError as error:
                raise UsageError(f"on the worker {this_worker().host}: {error}") from None
        return _depots[address]
