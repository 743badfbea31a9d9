"""The user's onnxruntime-node, with which `node-native` runs ONNX files.

It is not bundled, because with the libraries for all systems it is 290 MB large.
"""

from pathlib import Path

from quantlab.runtimes.npm_packages import NpmPackage

__all__ = ["find_onnxruntime_node", "onnxruntime_node_environment"]

_PACKAGE = NpmPackage(
    name="onnxruntime-node",
    # The first that reports the inputs and outputs of a file.
    oldest=(1, 22),
    use="the runtime 'node-native' runs ONNX files in",
    remedy=", and --runtimes leaves node-native out",
    variable="QUANTLAB_ONNXRUNTIME_NODE",
)


def find_onnxruntime_node() -> tuple[Path, str]:
    """Return its folder and version.

    Raises:
        RuntimeUnavailable: If there is none, or the first is older than 1.22 or cannot be read.
    """
    return _PACKAGE.find()


def onnxruntime_node_environment() -> dict[str, str]:
    """Environment variables of a Node process that loads it."""
    return _PACKAGE.environment()
