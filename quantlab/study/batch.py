"""Many models, one after another or several at a time; each has its own study, and a failure costs one model."""

import hashlib
import queue
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from quantlab.errors import QuantlabError, StudyError
from quantlab.models import files_sha256, identify
from quantlab.names import study_folder
from quantlab.progress import Progress
from quantlab.registries import REAL, Registries
from quantlab.samples.class_names import NAMES_FILES
from quantlab.store import Store, key_of
from quantlab.study.analysis import analyze, package_versions
from quantlab.study.context import code_sha256
from quantlab.study.options import AnalyzeOptions
from quantlab.types import Budget, Study
from quantlab.types.batch import BatchResult, BatchState, Done

__all__ = ["Analyze", "BatchModel", "Watch", "run_batch"]

_DONE = "batch.json"


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
        sources = [text for text in (self.data, options.calibration, options.labels, options.class_names) if text]
        beside = [self.model.parent / name for name in NAMES_FILES]
        tables = [text.rpartition(":")[0] for text in (*options.slices, options.group or "")]
        modules = [Path(*text.split(":")[0].split(".")).with_suffix(".py") for text in sources if ":" in text]
        named = [Path(text) for text in (*sources, *tables) if text]
        paths = [self.model, *beside, *named, *modules, *options.variants.values()]
        return tuple(path for path in dict.fromkeys(paths) if _exists(path))

    @property
    def gone(self) -> bool:
        """Whether the model or a file of samples does not exist; a function is no file."""
        sources = [self.data, *([self.options.calibration] if self.options.calibration else [])]
        return not _exists(self.model) or any(":" not in text and not _exists(Path(text)) for text in sources)

    @property
    def repeatable(self) -> bool:
        """Whether its samples are files, and no server is asked: what one says is known only when it is called."""
        if self.options.serving is not None:
            return False
        sources = [self.data, *([self.options.calibration] if self.options.calibration else [])]
        return all(_exists(Path(source)) for source in sources)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a list of names may be longer than any file's name
        return False


class Analyze(Protocol):
    """What makes a study: `quantlab.study.analyze`."""

    def __call__(
        self, model: str | Path, *, data: str, options: AnalyzeOptions | None = None, progress: Progress | None = None
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
    jobs: int = 1,
    chosen: Collection[str] | None = None,
    make: Analyze = analyze,
    registries: Registries = REAL,
) -> tuple[BatchResult, ...]:
    """Make the study of each model that changed since its study was made.

    Args:
        models: Each with a name and a folder of its own.
        watch: Receives what happens to each model.
        jobs: Number of studies at the same time. Times cannot be measured beside other work, so with more than one, no
            costs are measured.
        chosen: Names of the models to be made; None means all.
        make: Makes a study.
        registries: The known formats, runtimes and converters.
    """
    batch = _Batch(watch, chosen, make, package_versions(registries))
    if jobs > 1:
        models = [replace(model, options=replace(model.options, costs=False)) for model in models]
    return tuple(_one_by_one(models, batch.run) if jobs == 1 else _side_by_side(models, batch.run, jobs))


def _one_by_one(models: Sequence[BatchModel], run: Callable[[BatchModel], BatchResult]) -> Iterator[BatchResult]:
    return map(run, models)


def _side_by_side(
    models: Sequence[BatchModel], run: Callable[[BatchModel], BatchResult], jobs: int
) -> list[BatchResult]:
    """Run several at the same time. The threads are daemons, so that Ctrl-C ends the program and not a study."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for place in range(len(models)):
        waiting.put(place)
    results: dict[int, BatchResult] = {}

    def serve() -> None:
        while True:
            try:
                place = waiting.get_nowait()
            except queue.Empty:
                return
            results[place] = run(models[place])

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(min(jobs, len(models)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[place] for place in range(len(models))]


@dataclass(frozen=True, slots=True)
class _Batch:
    watch: Watch
    chosen: Collection[str] | None
    make: Analyze
    versions: dict[str, str]

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
            study = self.make(model.model, data=model.data, options=model.options, progress=progress)
        if study.complete:
            store = Store(model.folder)
            store.write(store.root / _DONE, Done(key))
        return "measured"

    def _key(self, model: BatchModel) -> str:
        """What a study depends on. A list of paths and hashes, since an option names its file by the path."""
        return key_of(
            {
                "model": str(model.model),
                "data": model.data,
                "options": hashlib.sha256(repr(model.options).encode()).hexdigest(),
                "files": {str(path): files_sha256(path) for path in model.files},
                "custom": {name: code_sha256(name) for name in model.options.model.custom},
                "versions": self.versions,
            }
        )


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
