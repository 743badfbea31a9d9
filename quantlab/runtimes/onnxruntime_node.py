"""Locates the user's onnxruntime-node, with which `node-native` runs ONNX files, by the rules of Node.js.

It is not bundled, because with the libraries for all systems it is 290 MB large.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from quantlab.errors import RuntimeUnavailable

__all__ = ["find_onnxruntime_node", "onnxruntime_node_environment"]

_NAME = "onnxruntime-node"
_OLDEST = (1, 22)
"""The oldest supported version: the first that reports the inputs and outputs of a file."""


def find_onnxruntime_node() -> tuple[Path, str]:
    """Return its folder and version: from the first `node_modules` in the working folder or above, else from NODE_PATH.

    Raises:
        RuntimeUnavailable: If there is none, or the first is older than 1.22 or cannot be read.
    """
    folder = next((place for place in _places() if (place / "package.json").is_file()), None)
    remedy = f"'npm install {_NAME}' in '{Path.cwd()}' installs it, and --runtimes leaves node-native out"
    if folder is None:
        raise RuntimeUnavailable(
            f"the runtime 'node-native' runs ONNX files in {_NAME}, and there is none in '{Path.cwd()}', "
            f"above it or in NODE_PATH; {remedy}"
        )
    version = _version(folder / "package.json")
    if version is None:
        raise RuntimeUnavailable(f"the {_NAME} in '{folder}' has a package.json that cannot be read; {remedy}")
    numbers = re.match(r"(\d+)\.(\d+)\.", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < _OLDEST:
        raise RuntimeUnavailable(
            f"the {_NAME} in '{folder}' has version {version}, and quantlab needs version 1.22 or newer; {remedy}"
        )
    return folder, version


def _places() -> Iterator[Path]:
    here = Path.cwd()
    for folder in (here, *here.parents):
        yield folder / "node_modules" / _NAME
    for named in os.environ.get("NODE_PATH", "").split(os.pathsep):
        if named:
            yield (Path(named) / _NAME).absolute()


def _version(manifest: Path) -> str | None:
    try:
        return str(json.loads(manifest.read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def onnxruntime_node_environment() -> dict[str, str]:
    """Environment variables of a Node process that loads it."""
    return {"QUANTLAB_ONNXRUNTIME_NODE": str(find_onnxruntime_node()[0])}
