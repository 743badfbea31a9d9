"""The runtime `python`, and the reference, which runs in the same kind of worker.

A worker uses one thread, so that two workers keep two cores busy. oneDNN is on, because it makes inference faster,
unless TF_ENABLE_ONEDNN_OPTS=0 is set.
"""

import functools
import platform
from dataclasses import replace
from importlib.metadata import version

from quantlab.formats import Format, PythonExecutor
from quantlab.processes import Child, ChildPool, PythonModule, onednn, python_environment
from quantlab.runtimes.contract import Host
from quantlab.runtimes.exchange import Job

__all__ = ["HOST", "REFERENCE", "environment", "environment_of", "model_calls", "reference_environment"]

REFERENCE = PythonExecutor(
    load="quantlab.worker.reference:load",
    library="tensorflow",
    packages=("tensorflow",),
    tap="quantlab.worker.graph_taps:tap_reference",
    list_taps="quantlab.worker.graph_taps:list_reference_taps",
)
"""Executor that runs the reference and reads the tensors of its graph."""


def model_calls(kind: str) -> PythonExecutor:
    """The executor that calls a model which TensorFlow opens as programs do.

    >>> list(model_calls("Keras 3").raw), list(model_calls("SavedModel").raw)
    (['model(x)', 'model.predict(x)', 'signature'], ['signature'])
    """
    keras = {"model(x)": "keras_call", "model.predict(x)": "keras_predict"}
    functions = {**({} if kind == "SavedModel" else keras), "signature": "signature_call"}
    return replace(REFERENCE, raw={call: f"quantlab.worker.raw_model:{name}" for call, name in functions.items()})


def environment(format_: Format) -> dict[str, str]:
    """Versions and flags that the outputs of a format depend on."""
    return environment_of(format_.python)


def environment_of(executor: PythonExecutor, *more: str) -> dict[str, str]:
    """The same for an executor, with the versions of further packages."""
    chosen = {"onednn": "on" if onednn() else "off"} if "tensorflow" in executor.packages else {}
    versions = {name: _installed(name) for name in (*executor.packages, *more)}
    return {**versions, **executor.facts, **chosen, "threads": "1", **_machine()}


def reference_environment(kind: str) -> dict[str, str]:
    """The same for a reference that TensorFlow opens."""
    library = {"Keras 3": "keras", "Keras 2": "tf_keras"}.get(kind)
    return environment_of(REFERENCE, *([library] if library else []))


_installed = functools.cache(version)
"""The version of a package; a process imports one only, and a worker asks for each shard."""


def _machine() -> dict[str, str]:
    return {"python": platform.python_version(), "machine": platform.machine()}


def _start(_: Job, pool: ChildPool) -> Child:
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return Child(
        PythonModule("quantlab.worker.main", pool.preload),
        log=pool.folder / "python.log",
        environment={**python_environment(onednn=onednn()), **threads},
        temporary=pool.folder / "temporary",
    )


HOST = Host(
    kind=lambda *_: "python",
    start=_start,
    lasting=False,  # imported modules of a user stay in the process
    stays_open=True,
    tries=True,
)
"""The Python worker, which also runs the reference."""
