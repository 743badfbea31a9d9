"""The bundled JavaScript, with its libraries, for Node.js and browsers; made when the package is built."""

import functools
import json
from pathlib import Path

from quantlab.errors import RuntimeUnavailable
from quantlab.formats import JavaScriptExecutor

__all__ = ["DIST", "bundle_environment", "bundle_stamp"]

DIST = Path(__file__).parent / "js" / "dist"


@functools.cache
def bundle_stamp() -> str:
    """The first digits of the hash of all JavaScript sources.

    Raises:
        RuntimeUnavailable: If there is no bundle in this checkout.
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
    """Versions of the libraries that run a format, and the stamp of the bundle.

    Raises:
        RuntimeUnavailable: If there is no bundle in this checkout.
    """
    names = [name for name in (executor.packages if executor else ()) if name in _versions()]
    return {**{name: _versions()[name] for name in names}, "bundle": bundle_stamp()}
