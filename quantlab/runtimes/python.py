"""The runtime `python`, and the reference, which runs in the same worker process.

A worker uses one thread, so that two of them fill two cores, and keeps oneDNN on, as inference wants it, unless
TF_ENABLE_ONEDNN_OPTS=0 says otherwise.
"""

import contextlib
import platform
from collections.abc import Generator, Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from quantlab.errors import QuantlabError, TrialError
from quantlab.processes import Child, Message, PythonModule, python_environment
from quantlab.runtimes._kept import ask_waiting
from quantlab.runtimes._native_addon import onednn
from quantlab.runtimes._workshop import Lane, Workshop
from quantlab.runtimes.exchange import Job, TimingPlan, job_document

__all__ = ["ARTIFACTS", "answer", "answered", "ask", "environment", "reference_environment", "run", "time"]

_KIND = "python"

_LIBRARIES: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "reference": (("tensorflow",), {}),
    "tfjs": (("tensorflow",), {}),
    "tfjs-layers": (("tensorflow", "tf_keras"), {}),
    "tflite": (("ai-edge-litert",), {"kernels": "XNNPACK"}),
    "onnx": (("onnxruntime",), {"kernels": "CPUExecutionProvider"}),
}
"""Format → the packages whose versions its outputs depend on, and what is always so."""

ARTIFACTS: Mapping[str, str] = {"ONNX": "onnx"}
"""Kind of a model that is an artifact already → its format."""


def environment(format_name: str) -> dict[str, str]:
    """Versions and flags that the outputs of a format depend on."""
    packages, kernels = _LIBRARIES[format_name]
    chosen = {"onednn": "on" if onednn() else "off"} if "tensorflow" in packages else {}
    return {**{name: version(name) for name in packages}, **kernels, **chosen, "threads": "1", **_machine()}


def reference_environment(kind: str) -> dict[str, str]:
    """The same for the reference of a kind of model."""
    if kind in ARTIFACTS:
        return environment(ARTIFACTS[kind])
    library = {"Keras 3": "keras", "Keras 2": "tf_keras"}.get(kind)
    return {**environment("reference"), **({library: version(library)} if library else {})}


def _machine() -> dict[str, str]:
    return {"python": platform.python_version(), "machine": platform.machine()}


def run(job: Job, workshop: Workshop) -> Generator[Message, None, None]:
    """Run a job in a worker."""
    return ask({"request": "run", "job": job_document(job)}, workshop)


def time(job: Job, plan: TimingPlan, workshop: Workshop) -> Generator[Message, None, None]:
    """Time a job's variant in a worker of its own: another's memory and caches are not this variant's."""
    request = {"request": "time", "job": job_document(job), "plan": asdict(plan)}
    return ask_waiting({"request": "wait", "format": job.format}, request, workshop, lambda: _start(workshop))


def ask(request: Mapping[str, Any], workshop: Workshop, *, worker: str = _KIND) -> Generator[Message, None, None]:
    """Send a worker one request and give on what it answers; see `_python_worker` for the requests.

    Who asks for a kind of worker of its own, one request after the other, is answered by the same while that lives.
    """
    child = workshop.take((worker, _KIND), lambda: _start(workshop))
    answered = False
    try:
        child.send(request)
        for message in child.messages(workshop.stall_seconds):
            answered = message["type"] in {"done", "failed"}
            yield message
    finally:
        # Whoever listens may stop in the middle; then the worker is still busy, and of no use to the next.
        if answered:
            workshop.give_back(worker, child)
        else:
            child.close()


def answer(
    request: Mapping[str, Any],
    kind: str,
    workshop: Workshop,
    *,
    error: type[QuantlabError] = TrialError,
    lane: Lane | None = None,
) -> Message:
    """The message of a kind among what a worker says; heard to its end, so that the worker is free for the next.

    In a lane others wait until then, and the worker that answers is always the same.

    Raises:
        error: If the request failed.
    """
    asked = ask(request, workshop, worker=lane.kind if lane else _KIND)
    # Closed before the lock opens: the next in the lane must find the worker given back.
    with lane.lock if lane else contextlib.nullcontext(), contextlib.closing(asked) as messages:
        return answered(messages, kind, error)


def answered(messages: Iterable[Message], kind: str, error: type[QuantlabError]) -> Message:
    """The message of a kind among those up to the end of a request.

    Raises:
        error: If the request failed, or ended without such a message.
    """
    found: Message | None = None
    for message in messages:
        if message["type"] == "failed":
            raise error(str(message["reason"]))
        if message["type"] == kind:
            found = message
    if found is None:
        raise error(f"the process answered without saying '{kind}'")
    return found


def _start(workshop: Workshop) -> Child:
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return Child(
        PythonModule("quantlab.runtimes._python_worker", workshop.preload),
        log=workshop.folder / "python.log",
        environment={**python_environment(onednn=onednn()), **threads},
        temporary=workshop.folder / "temporary",
    )
