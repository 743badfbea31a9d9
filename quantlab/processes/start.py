"""Starts programs as new processes, or Python modules as forks of a process with the needed imports."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO, cast

from quantlab.processes import forks
from quantlab.processes.environment import import_path
from quantlab.processes.process import Preload, Process, Surroundings
from quantlab.processes.signals import ending_of

__all__ = ["PythonModule", "start"]


@dataclass(frozen=True, slots=True)
class PythonModule:
    """A module that a child runs like `python -m`, but without searching the current folder first."""

    name: str
    preload: Preload = field(default_factory=Preload)
    forks: bool = False
    """Whether the fork server that forks it also forks its children (see `inherit_fork_server`)."""


def start(program: Sequence[str] | PythonModule, surroundings: Surroundings) -> Process:
    """Start a program.

    Raises:
        OSError: If the system refuses.
    """
    if isinstance(program, PythonModule):
        forked = forks.fork(program.name, program.preload, surroundings, forks=program.forks)
        if forked is not None:
            return forked
        program = [sys.executable, "-P", "-m", program.name]
        path = os.pathsep.join(import_path())
        surroundings = replace(surroundings, environment={**surroundings.environment, "PYTHONPATH": path})
    return _Spawned(program, surroundings)


class _Spawned:
    """A new process."""

    def __init__(self, command: Sequence[str], surroundings: Surroundings) -> None:
        if surroundings.temporary:
            surroundings.temporary.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=surroundings.log,
            env=dict(surroundings.environment),
            start_new_session=True,  # so that Ctrl-C reaches only this process, which then ends the child's whole group
        )
        self._ended = False
        self.stdin = cast("BinaryIO", self._process.stdin)
        self.stdout = cast("BinaryIO", self._process.stdout)

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ending(self) -> str:
        return ending_of(self._process.wait())

    def end(self) -> None:
        if self._ended:  # its id may belong to another process by now
            return
        self._ended = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
