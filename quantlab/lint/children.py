"""Runs what must not run in this process: HDF5 may never end on a damaged file; TensorFlow belongs in children."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantlab.errors import ModelError
from quantlab.lint.subject import WeightFacts
from quantlab.processes import Child, ChildDied, ChildStalled, Document, PythonModule, import_path, python_environment
from quantlab.processes.preload import WORKERS

__all__ = ["ask", "ask_fork", "weights_from"]

_SECONDS = 300
"""For one model; most of it is reading its weights."""


def ask(module: str, path: Path, kinds: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Ask the program `python -m <module> PATH` for one JSON object.

    Args:
        module: The program; it reads a JSON object from standard input.
        path: The model.
        kinds: Layer → class, which tells the channel axes of its weights.

    Raises:
        ModelError: If it ends without an answer or takes too long, or answers with an `error`.
    """
    command = [sys.executable, "-P", "-m", module, str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(import_path()), "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            input=json.dumps(kinds or {}).encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"'{path}' could not be read within {_SECONDS} seconds; save it again") from error
    try:
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise ModelError(
            f"'{path}' cannot be read (the program that reads it ended with status {done.returncode}); it may be "
            f"damaged, so copy or save it again"
        ) from error
    if "error" in said:
        raise ModelError(f"'{path}' cannot be read ({said['error']}); it may be damaged, so copy or save it again")
    return said


def ask_fork(module: str, path: Path, **asked: str | None) -> Document:
    """Ask a module that serves, in a fork of a process that has imported TensorFlow, about one path.

    Args:
        module: The module.
        path: The model.
        asked: What the request has besides the path.

    Raises:
        ModelError: If it says so, ends without an answer, or takes too long.
    """
    environment = {**python_environment(onednn=True), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Child(PythonModule(module, WORKERS), log=Path(folder) / "read.log", environment=environment) as child:
                child.send({"path": str(path), **asked})
                first, *_ = child.messages(_SECONDS)
        except (ChildDied, ChildStalled) as error:
            raise ModelError(f"'{path}' cannot be read ({error}); it may be damaged, so save it again") from error
    if first["type"] != "read":
        raise ModelError(str(first["reason"]))
    return first


def weights_from(documents: list[dict[str, Any]]) -> tuple[WeightFacts, ...]:
    """Make the facts that a child wrote as JSON, whose lists stand for tuples."""
    return tuple(map(_facts, documents))


def _facts(document: dict[str, Any]) -> WeightFacts:
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in document.items()
    }
    return WeightFacts(**fields)
