"""Checks a command that must be refused: its message, its exit status, and that nothing else has changed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import Done, quantlab_in_process
from study_fixtures import snapshot

__all__ = ["ANALYZE", "UNKNOWN", "Case", "check", "ids", "nothing", "refused"]

ANALYZE = "analyze digits.keras --settings tfjs-uint8 --runtimes python"
"""A command that lacks its samples."""

UNKNOWN = "analyze digits.keras --data digits.npz"
"""A command that lacks nothing, for an option that names what there is not."""


def nothing(place: Path) -> None:
    """Needs no preparation."""


@dataclass(frozen=True, slots=True)
class Case:
    """A command that cannot be carried out, and what is said."""

    name: str
    command: str
    """Split at spaces; `digits.keras`, `digits.npz` and `digits.study` are there."""
    message: str
    prepare: Callable[[Path], object] = nothing
    starts: bool = False
    """Whether the study is begun: then its folder may hold more than before, and nothing less."""


def refused(done: Done, message: str) -> None:
    """One sentence, status 2, nothing on standard output."""
    assert (done.last, done.status, done.stdout) == (f"quantlab: {message}", 2, ""), done.stderr
    assert "Traceback" not in done.stderr


def check(case: Case, place: Path) -> None:
    """Run it, and hold it to all that is promised."""
    case.prepare(place)
    before, study = {entry.name for entry in place.iterdir()}, snapshot(place / "digits.study")
    done = quantlab_in_process(*case.command.split(" "), cwd=place)
    refused(done, case.message)
    after = snapshot(place / "digits.study")
    assert {path: after.get(path) for path in study} == study
    if not case.starts:
        assert after == study
        assert {entry.name for entry in place.iterdir()} - {"__pycache__"} == before


def ids(cases: list[Case]) -> list[object]:
    return [pytest.param(case, id=case.name) for case in cases]
