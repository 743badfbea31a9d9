"""Many models, one after another or several at a time; each has its own study, and a failure costs one model."""

import contextlib
import hashlib
import queue
import re
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from quantlab.engines import shared_engines
from quantlab.errors import QuantlabError, StudyError
from quantlab.models import files_sha256, identify
from quantlab.names import study_folder
from quantlab.processes import LONGEST_WAIT_SECONDS, usable_cores
from quantlab.progress import Progress
from quantlab.registries import REAL, Registries
from quantlab.samples import files_named, is_pattern
from quantlab.samples.class_names import NAMES_FILES
from quantlab.store import Store, key_of
from quantlab.study.analysis import analyze, package_versions
from quantlab.study.options import AnalyzeOptions
from quantlab.types import Budget, Study
from quantlab.types.batch import BatchResult, BatchState, Done
from quantlab.user_modules import code_sha256

__all__ = ["Analyze", "BatchModel", "Watch", "run_batch", "usual_jobs"]

_DONE = "batch.json"

_MOST_JOBS = 4
"""Studies at the same time if nothing is said: each has children on this machine, with gigabytes of memory."""


@dataclass(frozen=True, slots=True)
class BatchModel:
    """One model of a batch."""

    name: str
    model: Path
    data: str
    options: AnalyzeOptions
    budget: Budget | None = None
    """What its settings must keep; no study depends on it."""

    @property
    def folder(self) -> Path:
        """The folder of its study."""
        return self.options.out or study_folder(self.model)

    @property
    def files(self) -> tuple[Path, ...]:
        """The existing files and folders that it is made from: the model, the samples and what options name."""
        options = self.options
        others = [text for text in (options.labels, options.class_names) if text]
        sources = [*self._sources, *others]
        beside = [self.model.parent / name for name in NAMES_FILES]
        tables = [text.rpartition(":")[0] for text in (*options.slices, options.group or "")]
        modules = [Path(*text.split(":")[0].split(".")).with_suffix(".py") for text in sources if ":" in text]
        samples = [path for text in self._sources for path in _named(text) or (Path(text),)]
        named = [*samples, *(Path(text) for text in (*others, *tables) if text)]
        own = [self.model, *([] if options.reference is None else [options.reference])]
        paths = [*own, *beside, *named, *modules, *options.variants.values()]
        return tuple(path for path in dict.fromkeys(paths) if _exists(path))

    @property
    def gone(self) -> bool:
        """Whether the model or a file of samples does not exist; a function is no file."""
        return not _exists(self.model) or any(":" not in text and _named(text) == () for text in self._sources)

    @property
    def repeatable(self) -> bool:
        """Whether its samples are files, and no server is asked: what one says is known only when it is called."""
        if self.options.serving is not None:
            return False
        return all(map(_named, self._sources))

    @property
    def _sources(self) -> list[str]:
        return [self.data, *([self.options.calibration] if self.options.calibration else [])]


def _named(text: str) -> tuple[Path, ...] | None:
    """The files of samples; none if they are missing, and None if their bytes do not tell whether they changed."""
    try:
        found = files_named(text)
    except QuantlabError:
        return ()
    except OSError:  # a list of names may be longer than any file's name
        return ()
    missing = found is None and not _exists(Path(text)) and not is_pattern(text)
    return () if missing else found


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a list of names may be longer than any file's name
        return False


class Analyze(Protocol):
    """What makes a study: `quantlab.study.analyze`."""

    def __call__(
        self,
        model: str | Path,
        *,
        data: str,
        options: AnalyzeOptions | None = None,
        progress: Progress | None = None,
        registries: Registries = REAL,
    ) -> Study:
        """Make the study of a model."""


class Watch(Protocol):
    """Receives what happens to each model of a batch; several threads may call it at the same time."""

    def progress(self, model: BatchModel) -> AbstractContextManager[Progress]:
        """Return the progress of a study that begins."""

    def ended(self, result: BatchResult) -> None:
        """Hear that a model is done with."""


def run_batch(
    models: Sequence[BatchModel],
    watch: Watch,
    *,
    jobs: int | None = None,
    chosen: Collection[str] | None = None,
    make: Analyze = analyze,
    registries: Registries = REAL,
) -> tuple[BatchResult, ...]:
    """Make the study of each model that changed since its study was made.

    Models that are cut into shards share the workers of their engine, which are started once.

    Args:
        models: Each with a name and a folder of its own.
        watch: Receives what happens to each model.
        jobs: Number of studies at the same time; None takes that of `usual_jobs`. Times cannot be measured beside other
            work, so with more than one, no costs are measured.
        chosen: Names of the models to be made; None means all.
        make: Makes a study.
        registries: The known formats, runtimes, converters and engines.
    """
    jobs = usual_jobs(models) if jobs is None else jobs
    if jobs > 1:
        models = [replace(model, options=replace(model.options, costs=False)) for model in models]
    with shared_engines(registries.engines) as engines:
        batch = _Batch(watch, chosen, make, replace(registries, engines=engines), package_versions(registries))
        return tuple(map(batch.run, models) if jobs == 1 else _side_by_side(models, batch, jobs))


def usual_jobs(models: Sequence[BatchModel]) -> int:
    """Number of studies at the same time if nothing is said: 1, or as many as an engine has workers, up to 4.

    While the workers run samples, this machine converts and scores; a study without workers already keeps it busy.
    """
    cut = [model.options.sharding for model in models if model.options.sharding is not None]
    workers = [_MOST_JOBS if one.address is not None else one.workers or usable_cores() for one in cut]
    return min([_MOST_JOBS, len(models), *workers]) if len(workers) == len(models) > 0 else 1


def _side_by_side(models: Sequence[BatchModel], batch: "_Batch", jobs: int) -> list[BatchResult]:
    """Run several at the same time. The threads are daemons, so that Ctrl-C ends the program and not a study."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for place in range(len(models)):
        waiting.put(place)
    results: dict[int, BatchResult] = {}

    def serve() -> None:
        with contextlib.suppress(queue.Empty, KeyboardInterrupt):
            while True:
                place = waiting.get_nowait()
                results[place] = batch.run(models[place])

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(min(jobs, len(models)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(LONGEST_WAIT_SECONDS)
    except BaseException:
        batch.stopped.set()  # before workers are released, which no study may take for a failure of its own
        raise
    return [results[place] for place in range(len(models))]


@dataclass(frozen=True, slots=True)
class _Batch:
    watch: Watch
    chosen: Collection[str] | None
    make: Analyze
    registries: Registries
    """Whose engines give each study a share of the same workers."""
    versions: dict[str, str]
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set on Ctrl-C, which reaches the main thread only."""

    def run(self, model: BatchModel) -> BatchResult:
        """Make the study of one model, unless it is kept or not asked for."""
        began = time.perf_counter()
        result = BatchResult(model.name, model.model, model.data, model.folder, "unchanged")
        if self.chosen is None or model.name in self.chosen:
            try:
                result = replace(result, state="kept" if self._kept(model) else self._made(model))
            except QuantlabError as error:
                result = replace(result, state="failed", reason=str(error))
            except OSError as error:
                at = f": '{error.filename}'" if error.filename else ""
                result = replace(result, state="failed", reason=f"{error.strerror or error}{at}")
            except Exception as error:  # noqa: BLE001 (the other models must not be lost)
                result = replace(result, state="failed", reason=f"internal error ({type(error).__name__}: {error})")
        result = replace(result, seconds=time.perf_counter() - began)
        if self.stopped.is_set():  # what the end of children and workers looks like is no result
            raise KeyboardInterrupt
        self.watch.ended(result)
        return result

    def _kept(self, model: BatchModel) -> bool:
        store = Store(model.folder)
        done = store.read(store.root / _DONE, Done)
        if done is None or not model.repeatable or done.key != self._key(model):
            return False
        try:
            store.refuse_running()
            store.read_study()
        except QuantlabError:
            return False
        return True

    def _made(self, model: BatchModel) -> BatchState:
        key = self._key(model)  # first, so that a file that changes meanwhile is not taken for the one that was read
        with self.watch.progress(model) as progress:
            if aside := _set_aside(model):
                progress.warn(
                    f"{model.name}: the study of the model as it was is kept in '{aside}'; to compare it with the new "
                    f"one: quantlab compare {aside} {model.folder}"
                )
            study = self.make(
                model.model,
                data=model.data,
                options=model.options,
                progress=_UntilStopped(progress, self.stopped),
                registries=self.registries,
            )
        if study.complete:
            store = Store(model.folder)
            store.write(store.root / _DONE, Done(key))
        return "measured"

    def _key(self, model: BatchModel) -> str:
        """What a study depends on. A list of paths and hashes, since an option names its file by the path.

        Not on the shards and the engine, by which only the time differs.
        """
        options = replace(model.options, sharding=None)
        return key_of(
            {
                "model": str(model.model),
                "data": model.data,
                "options": hashlib.sha256(repr(options).encode()).hexdigest(),
                "files": {str(path): files_sha256(path) for path in model.files},
                "custom": {name: code_sha256(name) for name in model.options.model.custom},
                "versions": self.versions,
            }
        )


class _UntilStopped:
    """Progress of a study in a thread, in which it raises KeyboardInterrupt once the batch is stopped.

    So the study ends as with Ctrl-C in the main thread: what is done is kept, and no study with failures is written.
    """

    def __init__(self, told: Progress, stopped: threading.Event) -> None:
        self._told, self._stopped = told, stopped

    def plan(self, phase: str, units: int, unit_seconds: float | None = None, *, beside: str | None = None) -> None:
        self._go_on().plan(phase, units, unit_seconds, beside=beside)

    def begin(self, step: str, samples: int = 0) -> None:
        self._go_on().begin(step, samples)

    def advance(self, step: str, samples: int) -> None:
        self._go_on().advance(step, samples)

    def work(self, phase: str, units: int) -> None:
        self._go_on().work(phase, units)

    def skip(self, phase: str, units: int) -> None:
        self._go_on().skip(phase, units)

    def end(self, step: str, outcome: str) -> None:
        self._go_on().end(step, outcome)

    def warn(self, text: str) -> None:
        self._go_on().warn(text)

    def _go_on(self) -> Progress:
        if self._stopped.is_set():
            raise KeyboardInterrupt
        return self._told


def _set_aside(model: BatchModel) -> Path | None:
    """Rename the study of another model that stands in a model's folder; return its new place, None if there is none.

    The study has the beginning of the hash of its model in its new name. If a model becomes again what it was, its own
    study returns to the folder with all of its work.

    Raises:
        StudyError: If there is such a study already.
        ModelError: If the model cannot be read.
    """
    folder, marker = model.folder, model.folder / "model" / "sha256"
    known = marker.read_text(errors="replace").strip() if marker.is_file() else ""
    if not re.fullmatch(r"[0-9a-f]{64}", known) or not model.model.exists():
        return None
    current = identify(model.model, model.options.model).sha256
    if known == current:
        return None
    aside = _place_of(folder, known)
    if aside.exists():
        raise StudyError(
            f"'{folder}' is a study of another model, and '{aside}', where it would be kept, exists; remove one of them"
        )
    with Store(folder).locked():
        folder.rename(aside)
    if _place_of(folder, current).is_dir():
        _place_of(folder, current).rename(folder)
    return aside


def _place_of(folder: Path, sha256: str) -> Path:
    return folder.with_name(f"{folder.name.removesuffix('.study')}-{sha256[:8]}.study")
