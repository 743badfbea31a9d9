"""Writes the page that runs quantlab in a browser tab: a folder of static files for any web server.

This module imports nothing but the standard library and `quantlab.errors`, because the documentation is built in an
environment without quantlab's dependencies (`docs/site_hooks.py`).
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from quantlab.errors import RuntimeUnavailable, UsageError

__all__ = ["is_bundled", "write_page"]

_PACKAGE = Path(__file__).parent

_DIST = _PACKAGE / "runtimes" / "js" / "dist"

_LIST = "files.json"
"""The list of the written files, by which a page is recognized when it is written again."""

_WORKER = "sw.js"

_VERSION = "version.json"
"""The version of quantlab, for the record of a study."""

_ENGINES = ("tfjs-backend-wasm.wasm", "tfjs-backend-wasm-simd.wasm", "ort-wasm-simd-threaded.wasm")
"""WebAssembly files beside the page. Those of LiteRT.js are in a folder of their own."""


def is_bundled() -> bool:
    """Whether the JavaScript of the page was bundled in this checkout."""
    return (_DIST / "tab" / "index.html").is_file()


def write_page(out: Path) -> Path:
    """Write the page into a folder, with everything that it needs: scripts, WebAssembly, licences and an example.

    A service worker in the folder has the SHA-256 of each file. Browsers keep the files by it, so that the page works
    without a network once it was loaded. If the folder holds a page that was written before, it is replaced.

    Args:
        out: The folder, of about 40 MB. It is created if it does not exist.

    Returns:
        The page itself, `index.html` in the folder.

    Raises:
        UsageError: If the folder has other files, is a file, or cannot be written.
        RuntimeUnavailable: If the JavaScript is not bundled in this checkout.
    """
    if not is_bundled():
        raise RuntimeUnavailable("the page of quantlab is not bundled in this checkout; run 'pip install -e .'")
    try:
        _refuse_other_files(out)
        out.mkdir(parents=True, exist_ok=True)
        _write(out)
    except OSError as error:
        raise UsageError(f"the page cannot be written to '{out}': {error.strerror}; name another folder") from error
    return out / "index.html"


def _refuse_other_files(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"'{out}' is a file, and the page is a folder; name another folder with --out")
    known = {*_written_before(out), _LIST}
    held = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir())
    strangers = [name for name in held if name not in known]
    if strangers:
        raise UsageError(
            f"'{out}' has files that are not of this page, such as '{strangers[0]}', and nothing is written over; "
            "name another folder with --out"
        )
    for name in held:
        if name != _LIST:  # it names what is there until the new list is written
            (out / name).unlink()


def _written_before(out: Path) -> frozenset[str]:
    try:
        listed = json.loads((out / _LIST).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
    return frozenset(listed) if isinstance(listed, dict) else frozenset()


def _write(out: Path) -> None:
    sources = _sources()
    content = {name: path.read_bytes() for name, path in sorted(sources.items()) if name != _WORKER}
    content[_VERSION] = f"{json.dumps({'quantlab': _version()})}\n".encode()
    # A browser keeps the files in this order: what a page needs first is small.
    hashes = {name: _sha256(data) for name, data in sorted(content.items(), key=lambda one: len(one[1]))}
    content[_WORKER] = f"self.FILES={json.dumps(hashes)};\n".encode() + sources[_WORKER].read_bytes()
    listed = {"files": {**hashes, _WORKER: _sha256(content[_WORKER])}}
    # First, so that a page of which only a part was written is recognized, too.
    (out / _LIST).write_text(f"{json.dumps(listed, indent=1)}\n", encoding="utf-8")
    for name, data in content.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)


def _sources() -> Mapping[str, Path]:
    """Path in the page → file of this package."""
    tab, example = _DIST / "tab", _PACKAGE / "demo" / "tab"
    return {
        **{path.relative_to(tab).as_posix(): path for path in tab.rglob("*") if path.is_file()},
        **{name: _DIST / name for name in _ENGINES},
        **{f"litert/{path.name}": path for path in (_DIST / "litert").glob("*")},
        **{f"example/{path.name}": path for path in example.glob("*") if path.suffix != ".md"},
        "licences.txt": _DIST / "licences.txt",
    }


def _version() -> str:
    try:
        return version("quantlab")
    except PackageNotFoundError:  # the documentation is built from a checkout
        return "not installed"


def _sha256(data: bytes) -> str:
    """In base64, as the `integrity` of a request takes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
