"""Writes the exact versions that `make demo`, `make test` and `.ci/run` install: `make lock`.

They are the newest versions that pip finds for the ranges in pyproject.toml, and the version of pip. The files are
constraints for pip, so they may list packages that some environments do not install, and lines may have markers. The
build dependencies have their own file, because hatchling needs a newer `packaging` than tensorflowjs.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from tests.version_ends import ROOT, project, to_build

__all__ = ["locked"]

_HEAD = "# Exact versions for pip; written by `make lock`.\n"
_TO_BUILD_IN_PLACE = "editables"
"""What hatchling asks for besides, to install a checkout in place."""


def locked(report: Mapping[str, Any]) -> str:
    """The text of a file.

    Args:
        report: What `pip install --dry-run --report` tells; of a package that comes from a folder, no line is made.
    """
    lines = {
        package["metadata"]["name"].lower(): f"{package['metadata']['name']}=={package['metadata']['version']}\n"
        for package in report["install"]
        if not package["is_direct"]
    }
    return _HEAD + "".join(lines[name] for name in sorted(lines))


def _report(asked: Sequence[str]) -> Mapping[str, Any]:
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    done = subprocess.run([*words, *asked], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    report: Mapping[str, Any] = json.loads(done.stdout)
    return report


def main() -> int:
    """Ask pip, and write both files once it has found versions that go together."""
    build = _report([*to_build(project()), _TO_BUILD_IN_PLACE])
    run = _report([f"pip=={version('pip')}", "--editable", ".[dev,docs,dask,ray,s3-server]"])
    (ROOT / "requirements-build.lock").write_text(locked(build), encoding="utf-8")
    (ROOT / "requirements.lock").write_text(locked(run), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
