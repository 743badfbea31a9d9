"""The bundled JavaScript, with its libraries, for Node.js and browsers; made when the package is built."""

import functools
import json
from pathlib import Path

from quantlab.errors import RuntimeUnavailable
from quantlab.foreign import reading
from quantlab.formats import JavaScriptExecutor

__all__ = ["DIST", "bundle_environment", "bundle_stamp", "refuse_incomplete"]

DIST = Path(__file__).parent / "js" / "dist"


_FILES = "files.json"
"""The size of every file that a job may load, by its path in the bundle; written last."""

_REMEDY = "install quantlab again, with 'pip install --force-reinstall quantlab'"


def refuse_incomplete(dist: Path) -> None:
    """Check that a bundle has all of its files: a page without its script would only be silent.

    Raises:
        RuntimeUnavailable: If there is no bundle in this checkout, or a file is missing or has another size.
    """
    if not (dist / _FILES).is_file():
        if (dist / "node.cjs").is_file():  # a checkout that was bundled before there was a list
            return
        raise RuntimeUnavailable(
            "the JavaScript of quantlab is not bundled in this checkout; install it with 'pip install -e .'"
        )
    with reading(dist / _FILES, RuntimeUnavailable, _REMEDY):
        sizes = {str(name): int(size) for name, size in json.loads((dist / _FILES).read_bytes()).items()}
    for name, size in sizes.items():
        file = dist / name
        if not file.is_file():
            raise RuntimeUnavailable(f"the file '{file}' of quantlab's JavaScript is missing; {_REMEDY}")
        if (held := file.stat().st_size) != size:
            raise RuntimeUnavailable(
                f"the file '{file}' of quantlab's JavaScript has {held:,} bytes instead of {size:,}; {_REMEDY}"
            )


def bundle_stamp() -> str:
    """The first digits of the hash of all JavaScript sources.

    Raises:
        RuntimeUnavailable: If there is no bundle in this checkout, or it is incomplete.
    """
    refuse_incomplete(DIST)
    stamp = DIST / "stamp"
    return stamp.read_text().strip()[:16] if stamp.is_file() else "unstamped"


@functools.cache
def _versions() -> dict[str, str]:
    package = json.loads((DIST.parent / "package.json").read_text())
    return {str(name): str(wanted) for name, wanted in package.get("dependencies", {}).items()}


def bundle_environment(executor: JavaScriptExecutor | None) -> dict[str, str]:
    """Versions of the libraries that run a format, and the stamp of the bundle.

    Raises:
        RuntimeUnavailable: If there is no bundle in this checkout, or it is incomplete.
    """
    names = [name for name in (executor.packages if executor else ()) if name in _versions()]
    return {**{name: _versions()[name] for name in names}, "bundle": bundle_stamp()}
