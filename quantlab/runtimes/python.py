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
from quantlab.formats import Format, PythonExecutor
from quantlab.processes import Child, ChildPool, Lane, Message, PythonModule, python_environment
from quantlab.runtimes.exchange import Job, TimingPlan, job_document
from quantlab.runtimes.kept import ask_waiting
from quantlab.runtimes.native_addon import onednn

__all__ = [
    "REFERENCE",
    "answer",
    "answered",
    "ask",
    "environment",
    "environment_of",
    "reference_environment",
    "run",
    "time",
]

_KIND = "python"

REFERENCE = PythonExecutor(
    load="quantlab.worker.reference:load",
    library="tensorflow",
    packages=("tensorflow",),
    tap="quantlab.worker.graph_taps:tap_reference",
    list_taps="quantlab.worker.graph_taps:list_reference_taps",
)
"""What runs the reference, and reads inside its graph."""


def environment(format_: Format) -> dict[str, str]:
    """Versions and flags that the outputs of a format depend on."""
    return environment_of(format_.python)


def environment_of(executor: PythonExecutor, *more: str) -> dict[str, str]:
    """The same for an executor; of more packages the versions too."""
    chosen = {"onednn": "on" if onednn() else "off"} if "tensorflow" in executor.packages else {}
    versions = {name: version(name) for name in (*executor.packages, *more)}
    return {**versions, **executor.facts, **chosen, "threads": "1", **_machine()}


def reference_environment(kind: str) -> dict[str, str]:
    """The same for the reference of a kind of model that TensorFlow opens."""
    library = {"Keras 3": "keras", "Keras 2": "tf_keras"}.get(kind)
    return environment_of(REFERENCE, *([library] if library else []))


def _machine() -> dict[str, str]:
    return {"python": platform.python_version(), "machine": platform.machine()}


def run(job: Job, pool: ChildPool) -> Generator[Message, None, None]:
    """Run a job in a worker."""
    return ask({"request": "run", "job": job_document(job)}, pool)


def time(job: Job, plan: TimingPlan, pool: ChildPool) -> Generator[Message, None, None]:
    """Time a job's variant in a worker of its own: another's memory and caches are not this variant's."""
    request = {"request": "time", "job": job_document(job), "plan": asdict(plan)}
    return ask_waiting({"request": "wait", "library": job.python.library}, request, pool, lambda: _start(pool))


def ask(request: Mapping[str, Any], pool: ChildPool, *, worker: str = _KIND) -> Generator[Message, None, None]:
    """Send a worker one request and give on what it answers; see `quantlab.worker.main` for the requests.

    Who asks for a kind of worker of its own, one request after the other, is answered by the same while that lives.
    """
    child = pool.take((worker, _KIND), lambda: _start(pool))
    answered = False
    try:
        child.send(request)
        for message in child.messages(pool.stall_seconds):
            answered = message["type"] in {"done", "failed"}
            yield message
    finally:
        # Whoever listens may stop in the middle; then the worker is still busy, and of no use to the next.
        if answered:
            pool.give_back(worker, child)
        else:
            child.close()


def answer(
    request: Mapping[str, Any],
    kind: str,
    pool: ChildPool,
    *,
    error: type[QuantlabError] = TrialError,
    lane: Lane | None = None,
) -> Message:
    """The message of a kind among what a worker says; heard to its end, so that the worker is free for the next.

    In a lane others wait until then, and the worker that answers is always the same.

    Raises:
        error: If the request failed.
    """
    asked = ask(request, pool, worker=lane.kind if lane else _KIND)
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


def _start(pool: ChildPool) -> Child:
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return Child(
        PythonModule("quantlab.worker.main", pool.preload),
        log=pool.folder / "python.log",
        environment={**python_environment(onednn=onednn()), **threads},
        temporary=pool.folder / "temporary",
    )
