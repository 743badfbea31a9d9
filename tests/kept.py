"""A cache of test data for all workers of a run, and for later runs with the same sources.

The data are in pytest's cache (`.pytest_cache/d/quantlab`; `pytest --cache-clear` removes it), under a hash of
everything that they depend on. Tests get copies, so that no test can change the data of others.
"""

import fcntl
import hashlib
import os
import pickle
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from quantlab.processes import Child, PythonModule, python_environment
from quantlab.processes.preload import CONVERTERS, WORKERS

__all__ = ["QUANTLAB", "Made", "kept", "made_once", "make_in_fork", "shared_once"]

_TESTS, _ROOT = Path(__file__).parent, Path(__file__).parents[1]

_PATIENCE = 600
"""Seconds for what is made, on a machine that does other things too."""

QUANTLAB = (
    *(_ROOT / "quantlab", _ROOT / "converters" / "quantlab_converters"),
    *(_ROOT / "quantlab" / "demo" / "digits.keras", _ROOT / "quantlab" / "runtimes" / "js" / "dist" / "stamp"),
)
"""What a study depends on: our own sources, and the JavaScript that is bundled."""

_VARIABLES = ("TF_ENABLE_ONEDNN_OPTS", "QUANTLAB_NODE", "QUANTLAB_FORK")
"""Variables that results depend on; children are given the others."""


def kept(
    request: pytest.FixtureRequest, name: str, sources: Iterable[str | Path], make: Callable[[Path], object]
) -> Path:
    """A copy of a folder that `make` has filled, now or in an earlier run.

    Args:
        request: Of the fixture that is to be made.
        name: Of the folder, which nothing else is kept under.
        sources: Files that decide what is made: paths, or the names of files of these tests; of a folder all `.py`.
        make: Is given an empty folder, which is moved afterwards: it may not hold its own path.
    """
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    store = _store(request.config, factory)
    place = store / f"{name}-{_fingerprint([_TESTS / source for source in sources])}"
    with _held(store / f"{name}.lock"):
        if not place.is_dir():
            draft = store / f"{name}.draft"
            shutil.rmtree(draft, ignore_errors=True)  # of a run that was killed
            draft.mkdir()
            make(draft)
            for outdated in store.glob(f"{name}-{'?' * _DIGITS}"):
                shutil.rmtree(outdated)
            draft.rename(place)
        return shutil.copytree(place, factory.mktemp(name) / name)


_DIGITS = 16


def _store(config: pytest.Config, factory: pytest.TempPathFactory) -> Path:
    held: pytest.Cache | None = getattr(config, "cache", None)  # there is none with -p no:cacheprovider
    return held.mkdir("quantlab") if held else _base(factory)


def _fingerprint(sources: Iterable[Path]) -> str:
    digest = hashlib.sha256(repr((_installed(), _variables())).encode())
    for source in sources:
        for file in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            content = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "none"
            digest.update(f"{file.name} {content}\n".encode())
    return digest.hexdigest()[:_DIGITS]


@cache
def _installed() -> tuple[str, ...]:
    return tuple(
        sorted({f"{package.name} {package.version}" for package in distributions() if package.name != "quantlab"})
    )


def _variables() -> list[tuple[str, str]]:
    return [(name, os.environ.get(name, "")) for name in _VARIABLES]


def make_in_fork(module: str, request: Mapping[str, Any], log: Path, *, onednn: bool = True) -> None:
    """Let a module that serves (`quantlab.processes.serve`) answer one request: TensorFlow stays out of this process.

    It is a fork of the server that workers are forked from, which has imported TensorFlow for all of them; or, without
    oneDNN, of that of the converters.
    """
    # The variables that workers have too, or it would be another server that imports it once more.
    environment = {**python_environment(onednn=onednn), "OMP_NUM_THREADS": "1"}
    child = Child(PythonModule(module, WORKERS if onednn else CONVERTERS), log=log, environment=environment)
    with child:
        child.send(request)
        *_, last = child.messages(_PATIENCE)
    assert last["type"] == "done", f"{last}; {log.read_text()}"


@contextmanager
def shared_once(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """A folder that all workers of this run share, held by one at a time, and whether this one is to fill it."""
    base = _base(tmp_path_factory)
    folder, done = base / name, base / f"{name}.done"
    with _held(base / f"{name}.lock"):
        folder.mkdir(exist_ok=True)
        yield folder, not done.exists()
        done.touch()


@dataclass(slots=True)
class Made:
    """A value that the workers of a run share; None as long as none has made it."""

    value: Any


@contextmanager
def made_once(file: Path) -> Iterator[Made]:
    """What a file holds, for one worker at a time; it holds afterwards what the block leaves there."""
    with _held(file.with_name(f"{file.name}.lock")):
        made = Made(pickle.loads(file.read_bytes()) if file.exists() else None)  # noqa: S301 (our own, of this run)
        yield made
        file.write_bytes(pickle.dumps(made.value))


def _base(factory: pytest.TempPathFactory) -> Path:
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextmanager
def _held(lock: Path) -> Iterator[None]:
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
