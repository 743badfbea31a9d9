"""Fixtures for tests of forked children: a child that runs code, and a check that no process is left.

conftest.py registers the fixtures for all test files.
"""

import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contracts import child_processes

from quantlab.processes import Child, ChildDied, Preload, PythonModule, fork_servers

__all__ = ["ON_LINUX", "SECONDS", "ask", "is_gone", "obituary", "server_of", "start_fork"]

ON_LINUX = [
    pytest.mark.starts_children,
    pytest.mark.skipif(sys.platform != "linux", reason="children are forks on Linux only"),
    pytest.mark.usefixtures("end_own_servers", "no_child_is_left"),
]
"""The marks of a file of these tests."""

_ENVIRONMENT = {"TF_OF_THESE_TESTS": "1"}
"""A variable that makes these tests' servers other ones than those that have imported TensorFlow for all tests."""

_PRELOAD = ("quantlab.processes",)
"""What `fork_child` imports: else each child does, which takes longer than all that most tests ask of it."""

SECONDS = 60
"""For an answer, on a machine that does other things too."""


@pytest.fixture(scope="module")
def end_own_servers() -> Iterator[None]:
    before = fork_servers()
    yield
    for server in fork_servers() - before:
        os.kill(server, signal.SIGKILL)
        assert is_gone(server)
    assert fork_servers() <= before  # which also waits for them as their parent


@pytest.fixture
def no_child_is_left() -> Iterator[None]:
    before = child_processes()
    yield
    assert child_processes() == before


@pytest.fixture
def start_fork(tmp_path: Path) -> Callable[..., Child]:
    def start(
        module: str = "fork_child",
        *,
        environment=None,
        temporary: Path | None = None,
        preload=_PRELOAD,
        without=(),
        unused=(),
        forks: bool = False,
    ) -> Child:
        return Child(
            PythonModule(module, Preload(preload, without, unused), forks),
            log=tmp_path / "child.log",
            environment={**_ENVIRONMENT, **(environment or {})},
            temporary=temporary,
        )

    return start


def ask(child: Child, code: str):
    """What code says in a child."""
    child.send({"code": textwrap.dedent(code)})
    *said, last = child.messages(SECONDS)
    assert last == {"type": "done"}
    return said[0]["value"] if said else None


def obituary(child: Child, code: str) -> str:
    child.send({"code": textwrap.dedent(code)})
    with pytest.raises(ChildDied) as died:
        child.receive(SECONDS)
    return str(died.value)


def server_of(child: Child) -> int:
    return ask(child, "import os; say(os.getppid())")


def is_gone(pid: int, seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False
