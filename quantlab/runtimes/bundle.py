"""The JavaScript that Node.js and browsers run, with its libraries in it; made when the package is built."""

import functools
import json
from pathlib import Path

from quantlab.errors import RuntimeUnavailable
from quantlab.formats import JavaScriptExecutor

__all__ = ["DIST", "bundle_environment", "bundle_stamp"]

DIST = Path(__file__).parent / "js" / "dist"


@functools.cache
def bundle_stamp() -> str:
    """A part of the hash of all sources.

    Raises:
        RuntimeUnavailable: If nothing is bundled here.
    """
    if not (DIST / "node.cjs").is_file():
        raise RuntimeUnavailable(
            "the JavaScript of quantlab is not bundled in this checkout; install it with 'pip install -e .'"
        )
    stamp = DIST / "stamp"
    return stamp.read_text().strip()[:16] if stamp.is_file() else "unstamped"


@functools.cache
def _versions() -> dict[str, str]:
    package = json.loads((DIST.parent / "package.json").read_text())
    return {str(name): str(wanted) for name, wanted in package.get("dependencies", {}).items()}


def bundle_environment(executor: JavaScriptExecutor | None) -> dict[str, str]:
    """Versions of the libraries that run a format, and a part of the hash of all sources.

    Raises:
        RuntimeUnavailable: If nothing is bundled here.
    """
    names = [name for name in (executor.packages if executor else ()) if name in _versions()]
    return {**{name: _versions()[name] for name in names}, "bundle": bundle_stamp()}
