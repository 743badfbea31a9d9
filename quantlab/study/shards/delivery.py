"""How tasks reach workers, and results the command: through a folder that all share, or through an object store."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from quantlab.formats import artifact_files
from quantlab.models import as_artifact, files_sha256
from quantlab.study.depot import FolderDepot
from quantlab.study.depot.damage import put_again, reported_damage
from quantlab.study.depot.objects import ObjectDepot
from quantlab.study.shards.claims import forget_claims
from quantlab.study.shards.results import result_file
from quantlab.study.shards.task import Task, Travelling
from quantlab.types.executor_options import ModelRequest

__all__ = ["JOINED_KEYS", "RESULTS", "Delivery", "SharedFolder", "ThroughObjects", "result_name"]

RESULTS = "shards"
"""Folder of results and claims, within that of the study or at its address."""

JOINED_KEYS = "work/joined.txt"
"""File of a study with the keys of the results that were joined since it was stored, one a line."""

_LOOK_SECONDS = 0.2


def result_name(key: str) -> str:
    """The name of a result in an object store."""
    return f"{key}.outputs"


class Delivery(Protocol):
    """What the command does for its workers. Threads may share it."""

    def packed(self, task: Task) -> Task:
        """The task for a worker, which reaches everything that it names.

        Raises:
            StudyError: If what it needs cannot be stored.
        """

    def find(self, key: str) -> None:
        """Bring a result of an earlier call into the folder of results, if there is one elsewhere."""

    def bring(self, key: str) -> bool:
        """Bring the result of a worker into the folder of results; False if it is not to be had."""

    def drop(self, key: str) -> None:
        """Remove a damaged result, so that it is made again."""

    def forget(self, keys: Collection[str]) -> None:
        """Remove results that are joined and recorded, and their claims."""


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """The workers have the study's folder at the same path."""

    folder: Path
    """The folder of results and claims."""
    appears_seconds: float = 0.0
    """Most seconds until a file that another machine has made is seen here."""

    def packed(self, task: Task) -> Task:
        """See `Delivery`: the task as it is."""
        return task

    def find(self, key: str) -> None:
        """See `Delivery`: it is there."""

    def bring(self, key: str) -> bool:
        """See `Delivery`: it is there, or will soon be seen."""
        until = time.monotonic() + self.appears_seconds
        while not result_file(self.folder, key).is_file():
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def drop(self, key: str) -> None:
        """See `Delivery`."""
        result_file(self.folder, key).unlink(missing_ok=True)

    def forget(self, keys: Collection[str]) -> None:
        """See `Delivery`."""
        # Claims first: a call that is killed here leaves results, by which the next one finds what is to be removed.
        forget_claims(FolderDepot(self.folder), keys)
        for key in keys:
            result_file(self.folder, key).unlink(missing_ok=True)


@dataclass(slots=True)
class ThroughObjects:
    """The workers share nothing but an object store: files travel by the hash of their bytes, each once."""

    depot: ObjectDepot
    """That of the study."""
    folder: Path
    """The folder of results on this machine."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stored: dict[tuple[str, int, int], str] = field(default_factory=dict)
    """Path, bytes and time of change of each file that the store holds → its hash."""
    _named: dict[Path, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    """Path of an artifact or a model → what was stored of it, which several tasks need."""
    _earlier: set[str] | None = None
    """Names of the results that the store held before this call; None until it was asked."""
    _damaged: frozenset[str] | None = None
    """Hashes of objects that a worker of an earlier call has found damaged; None until the store was asked."""

    @property
    def results(self) -> ObjectDepot:
        """The depot of results and claims."""
        return self.depot.within(RESULTS)

    def packed(self, task: Task) -> Task:
        """See `Delivery`: paths are replaced by names below the folder into which a worker fetches the files."""
        job, model = task.job, task.job.options.model
        named, artifact = self._once(Path(job.artifact), self._artifact) if job.artifact else ("", {})
        opened, files = (None, {}) if model is None else self._model(model)
        external = tuple(
            replace(one, file=Path(one.file).relative_to(_root(Path(job.artifact))).as_posix())
            for one in job.options.external_data
        )
        sent = replace(
            job,
            artifact=named,
            inputs=tuple(replace(one, file="") for one in job.inputs),
            options=replace(job.options, model=opened, external_data=external),
        )
        inputs = tuple(self._stored_as(Path(one.file)) for one in job.inputs)
        return replace(task, folder="", job=sent, travelling=Travelling(self.depot.address, inputs, artifact, files))

    def find(self, key: str) -> None:
        """See `Delivery`."""
        with self._lock:
            if self._earlier is None:
                self._earlier = set(self.results.names(""))
        if result_name(key) in self._earlier:
            self.bring(key)

    def bring(self, key: str) -> bool:
        """See `Delivery`."""
        try:
            self.results.get(result_name(key), result_file(self.folder, key))
        except FileNotFoundError:
            return False
        return True

    def drop(self, key: str) -> None:
        """See `Delivery`."""
        result_file(self.folder, key).unlink(missing_ok=True)
        self.results.remove(result_name(key))

    def forget(self, keys: Collection[str]) -> None:
        """See `Delivery`: those in the store are kept until the study is stored, for a call on another machine."""
        # Their names first: a call that is killed here leaves results, by which the next one finds them again.
        with self._lock, (self.folder.parent / JOINED_KEYS).open("a", encoding="ascii") as file:
            file.writelines(f"{key}\n" for key in sorted(keys))
        for key in keys:
            result_file(self.folder, key).unlink(missing_ok=True)

    def _once(
        self, path: Path, store: Callable[[Path], tuple[str, Mapping[str, str]]]
    ) -> tuple[str, Mapping[str, str]]:
        """What is stored of a path: no call of `analyze` changes it once it is run."""
        if path not in self._named:
            self._named[path] = store(path)
        return self._named[path]

    def _artifact(self, path: Path) -> tuple[str, Mapping[str, str]]:
        """The name of an artifact below its root, and the hash of each of its files."""
        files = artifact_files(path).files
        return _named(path), {name: self._put(_root(path) / name, sha256) for name, sha256 in files.items()}

    def _model(self, model: ModelRequest) -> tuple[ModelRequest, Mapping[str, str]]:
        """The model below its root, and the hash of each of its files and of those of its SavedModel."""
        export = Path(model.export)

        def store(path: Path) -> tuple[str, Mapping[str, str]]:
            # The hash of a model in a folder is that of all files in it, unless the model is an artifact.
            names = _below(path) if path.is_dir() and as_artifact(path) is None else artifact_files(path).files
            files = {f"model/{name}": self._stored_as(_root(path) / name) for name in names}
            return _named(path), files | {
                f"saved_model/{name}": self._stored_as(export / name) for name in _below(export)
            }

        named, files = self._once(Path(model.path), store)
        return replace(model, path=(Path("model") / named).as_posix(), export="saved_model"), files

    def _stored_as(self, file: Path) -> str:
        return self._put(file, None)

    def _put(self, file: Path, sha256: str | None) -> str:
        """Store a file, unless it is stored; its hash. Several threads may ask for the same file: one puts it."""
        state = file.stat()
        known = (str(file), state.st_size, state.st_mtime_ns)
        with self._lock:
            if known not in self._stored:
                told = sha256 or files_sha256(file)
                if self._damaged is None:
                    self._damaged = reported_damage(self.depot)
                if told in self._damaged:
                    put_again(self.depot, told, file)
                else:
                    self.depot.put_object(told, file)
                self._stored[known] = told
            return self._stored[known]


def _root(path: Path) -> Path:
    """The folder below which the files of an artifact or a model have their names."""
    return path if path.is_dir() else path.parent


def _named(path: Path) -> str:
    return "." if path.is_dir() else path.name


def _below(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
