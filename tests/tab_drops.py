"""Drops files on the modules of the page, in Node.js."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from run_node_tests import JS

from quantlab.formats import FORMATS
from quantlab.runtimes.node import find_node

__all__ = ["Dropping", "dropped", "run_tab"]

_SECONDS = 600


@dataclass(frozen=True)
class Dropping:
    """Files that are dropped together, and what is asked of them; see `tab_files.mjs`."""

    files: Mapping[str, str]
    """Path in the drop → file on the disk."""
    out: str | None = None
    cuts: int = 0
    changes: int = 0


def run_tab(drops: Sequence[Dropping], folder: Path) -> list[dict[str, Any]]:
    """What the page's modules say of each drop."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "jobs.json").write_text(json.dumps([asdict(drop) for drop in drops]))
    program, _ = find_node()
    command = [program, str(Path(__file__).with_name("tab_files.mjs")), str(JS / "tab"), str(folder / "jobs.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def dropped(artifact: Path) -> dict[str, str]:
    """The files of an artifact as they are dropped, in one folder."""
    format_ = next(one for one in FORMATS.values() if one.recognizes(artifact))
    root = artifact if artifact.is_dir() else artifact.parent
    return {f"dropped/{file.relative_to(root).as_posix()}": str(file) for file in format_.files(artifact)}
