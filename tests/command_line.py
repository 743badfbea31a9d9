"""How tests run the command line: in this process, where the fork servers that tests share are warm, or as a program.

Most tests need `quantlab_in_process`. `run_quantlab` starts a program with its own fork servers, which costs seconds of
CPU time. It is for tests of signals, pipes, locales and the process itself.
"""

import contextlib
import importlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantlab.cli import run
from quantlab.processes import fork_servers
from quantlab.runtimes import node

__all__ = [
    "PATIENCE",
    "Done",
    "processes_marked",
    "quantlab_in_process",
    "run_quantlab",
    "surroundings",
    "write_program",
]

PATIENCE = 600
"""Seconds for a program on a machine that does other things too."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def last(self) -> str:
        """The last line of standard error."""
        return (self.stderr.splitlines() or [""])[-1]


def run_quantlab(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> Done:
    """Run the command line as a process of its own; `before` is put before its command."""
    command = [*before, sys.executable, "-m", "quantlab", *map(str, arguments)]
    answer = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Done(answer.returncode, answer.stdout, answer.stderr)


def quantlab_in_process(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Done:
    """Run the command line in this process, as `run_quantlab` does in another; nothing of it stays but its files."""
    out, err = io.StringIO(), io.StringIO()
    with surroundings(cwd, env or {}), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run([str(argument) for argument in arguments])
    return Done(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def surroundings(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Another current folder and other variables, and afterwards those of before.

    The programs that were found are forgotten, since variables may name others. So is what was imported from the
    folder: the next one may hold another module of the same name.
    """
    variables, path, modules = dict(os.environ), list(sys.path), set(sys.modules)
    _forget_programs()
    try:
        os.environ.update(environment)
        importlib.invalidate_caches()
        with contextlib.chdir(folder):
            yield
    finally:
        os.environ.clear()
        os.environ.update(variables)
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if _lies_in(folder, getattr(sys.modules[name], "__file__", None)):
                del sys.modules[name]
        _forget_programs()


def _forget_programs() -> None:
    node.find_node.cache_clear()


def _lies_in(folder: Path, file: str | None) -> bool:
    return file is not None and Path(file).resolve().is_relative_to(folder.resolve())


def processes_marked(mark: str) -> list[str]:
    """Commands of the processes that have a text in their environment, as all that a program with it starts have.

    This program's fork servers are none of them: they live as long as it does, with the variables of their start. Nor
    are their forks, whose variables the system does not show; `no_process_left` of `contracts` sees these.
    """
    commands, servers = [], fork_servers()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) not in servers:
            try:
                marked = mark.encode() in (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if marked and command:
                commands.append(command.replace(b"\0", b" ").decode())
    return commands


def write_program(file: Path, body: str) -> Path:
    """Write a shell script that can be started, to stand for a program that quantlab starts."""
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file
