"""The context that all steps of a study share, and how the model is opened."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from quantlab.errors import ModelError
from quantlab.formats import Format
from quantlab.models import ModelFile, as_artifact
from quantlab.processes import ChildDied, ChildPool, Preload
from quantlab.processes.preload import WORKERS, WORKERS_OF_KERAS_3, WORKERS_WITHOUT_TENSORFLOW
from quantlab.progress import Progress
from quantlab.registries import REAL, Registries
from quantlab.runtimes import Job, python
from quantlab.runtimes.protocol import answer
from quantlab.runtimes.requests import Open
from quantlab.store import Store, key_of
from quantlab.study.depot.objects import ObjectDepot
from quantlab.study.integrity import intact_model, source_sha256
from quantlab.study.options import AnalyzeOptions
from quantlab.study.scores_only import ScoresOnly
from quantlab.study.shards import Sharding, started_workers
from quantlab.types import OpenedModel
from quantlab.types.executor_options import ExecutorOptions, ModelRequest
from quantlab.types.messages import Opened
from quantlab.user_modules import code_sha256

__all__ = [
    "Context",
    "artifact_format",
    "artifact_options",
    "model_identity",
    "model_options",
    "naming",
    "open_model",
    "pool_for",
    "read_kept",
    "sharding_for",
    "temporary_context",
]

_Kept = TypeVar("_Kept")


@contextmanager
def naming(step: str) -> Iterator[None]:
    """Name the failed step in a ChildDied; used for steps without which the study cannot continue."""
    try:
        yield
    except ChildDied as error:
        raise ChildDied(f"could not {step} (run the same command again to retry): {error}") from error


@dataclass(frozen=True, slots=True)
class RunLocks:
    """A lock for each folder of outputs: a row that falls back to another runtime has the folder of that runtime's row.

    Without one, two threads that run both rows at the same time would write the same files.
    """

    _locks: dict[Path, threading.Lock] = field(default_factory=dict)

    def of(self, folder: Path) -> threading.Lock:
        """The lock of a folder; threads may ask at the same time."""
        return self._locks.setdefault(folder, threading.Lock())


@dataclass(frozen=True, slots=True)
class Context:
    """One call of `analyze` or `convert`."""

    store: Store
    pool: ChildPool
    options: AnalyzeOptions
    progress: Progress
    file: ModelFile
    registries: Registries = REAL
    sharding: Sharding | None = None
    """The workers that run the samples in shards; None if this process runs them as a whole."""
    scores: ScoresOnly | None = None
    """Which rows need no outputs, if the study keeps scores only."""
    runs: RunLocks = field(default_factory=RunLocks)
    """Locks of the folders of outputs."""

    def stop(self) -> None:
        """End all children, and the waiting for workers; threads that need them raise ChildDied."""
        if self.sharding is not None:
            self.sharding.stop()
        self.pool.close()


@contextmanager
def temporary_context(
    file: ModelFile, options: AnalyzeOptions, progress: Progress, registries: Registries
) -> Iterator[Context]:
    """The context of a call that keeps nothing, with its own folder and child pool while it lasts."""
    with tempfile.TemporaryDirectory(prefix="quantlab-") as folder:
        store = Store(Path(folder))
        with store.locked(), pool_for(file, store.work, options, registries) as pool:
            yield Context(store, pool, options, progress, file, registries)


def model_identity(context: Context) -> dict[str, Any]:
    """What a model's outputs depend on: its file, its signature, the code of its custom layers."""
    options = context.options.model
    return {
        "model": context.file.sha256,
        "signature": options.signature,
        "custom": {name: code_sha256(name) for name in options.custom},
        **({"shapes": {name: list(sizes) for name, sizes in options.shapes.items()}} if options.shapes else {}),
    }


def _model_key(context: Context) -> str:
    """What the description and the exported SavedModel depend on."""
    libraries = {name: version(name) for name in ("tensorflow", "keras", "tf_keras", "onnxruntime")}
    return key_of({**model_identity(context), "path": str(context.file.path), **libraries})


def model_options(context: Context) -> ExecutorOptions:
    """The executor options with which a job opens the model as the reference."""
    options = context.options.model
    export = context.store.model_folder(_model_key(context)) / "saved_model"
    return ExecutorOptions(
        model=ModelRequest(
            path=str(context.file.path),
            signature=options.signature,
            custom=options.custom,
            unsafe=options.unsafe,
            export=str(export.absolute()),
            shapes=options.shapes,
        )
    )


def read_kept(context: Context, record: Path, kind: type[_Kept], again: str) -> _Kept | None:
    """A stored record, None if there is none; of a damaged one a warning says what is done again."""
    kept = context.store.read(record, kind)
    if kept is None and record.is_file():
        context.progress.warn(f"'{record}' is damaged, so {again}")
    return kept


def artifact_options(context: Context, format_: Format, path: Path) -> ExecutorOptions:
    """The executor options with which a job opens a variant, or the model if it is an artifact."""
    return replace(format_.options(path), unsafe=context.options.model.unsafe)


def artifact_format(file: ModelFile, registries: Registries) -> str | None:
    """The format of a model that already is an artifact; None for one that TensorFlow opens."""
    format_ = registries.format_of_model(file.kind)
    return format_.name if format_ else None


def pool_for(file: ModelFile, folder: Path, options: AnalyzeOptions, registries: Registries) -> ChildPool:
    """The child pool for a study of this model; the caller holds the lock of the folder."""
    # Left over if a program and its fork server were killed at the same time.
    shutil.rmtree(folder / "temporary", ignore_errors=True)
    return ChildPool(folder, options.time_limit, _preload(file, options, registries))


def sharding_for(
    store: Store, options: AnalyzeOptions, registries: Registries, depot: ObjectDepot | None = None
) -> AbstractContextManager[Sharding | None]:
    """The workers of a study while it runs; None if its samples are not cut into shards.

    With a depot, the workers share that with the command, and otherwise the study's folder.
    """
    return started_workers(
        store,
        options.sharding,
        registries.engines,
        batch_size=options.batch_size,
        time_limit=options.time_limit,
        depot=depot,
    )


def _preload(file: ModelFile, options: AnalyzeOptions, registries: Registries) -> Preload:
    if options.variants:  # of any format
        return WORKERS
    format_ = registries.format_of_model(file.kind)
    if format_ is not None and not format_.python.with_tensorflow:
        return WORKERS_WITHOUT_TENSORFLOW
    return WORKERS_OF_KERAS_3 if file.kind == "Keras 3" else WORKERS


def _users(path: Path) -> Path:
    """The model at the user's path: the folder of an artifact whose main file is given."""
    artifact = as_artifact(path)
    return (artifact[0] if artifact else path).absolute()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def open_model(context: Context, meanwhile: Callable[[], None] = lambda: None) -> OpenedModel:
    """The model's description and SavedModel, from the store or from a worker that opens it.

    Args:
        context: The context of the study.
        meanwhile: Called just before a worker opens the model; not called if the store has the result.

    Raises:
        ModelError: If it cannot be opened.
    """
    folder = context.store.model_folder(_model_key(context))
    record = folder / "opened.json"
    kept = context.store.read(record, OpenedModel)
    # If the source is the user's own file, another model may be at its path by now.
    own = kept is not None and kept.source.is_relative_to(folder.absolute())
    if kept is not None and (own or kept.source == _users(context.file.path)):
        state = intact_model(kept, context.registries)
        if state in {"intact", "no hash"}:
            return kept
        if own:  # never remove a file of the user
            if state == "damaged":
                context.progress.warn(f"'{kept.source}' is damaged, so it is exported again")
            _remove(kept.source)
    elif kept is None and record.is_file():  # then nothing tells whether what was exported is intact
        context.progress.warn(f"'{record}' is damaged, so the model is opened again")
        _remove(folder / "saved_model")
    step = f"open {context.file.path.name}"
    context.progress.begin(step)
    meanwhile()
    job = Job("", "", "", 1, 0, 0, (), (), model_options(context), python.REFERENCE)
    with naming(step):
        said = answer(python.HOST, Open(job), Opened, context.pool, error=ModelError)
    source = Path(said.source).absolute()
    sha256 = source_sha256(source, said.format, context.registries)
    opened = OpenedModel(said.description, source, said.format, sha256, said.training_layers, said.rescaling)
    context.store.write(record, opened)
    context.progress.end(step, "done")
    return opened
