"""The contract of timing that every runtime must fulfil: `check_runtime_times` and `check_runtime_dies_timed`."""

from dataclasses import replace
from pathlib import Path

import pytest
from contracts import (
    KILLED,
    Workbench,
    executors,
    kill_newest,
    model_for,
    names_in_library_order,
    no_process_left,
)

from quantlab.processes import ChildDied, ChildPool
from quantlab.runtimes import Job, Runtime, TimingPlan, input_files, protocol
from quantlab.runtimes.exchange import TensorFile
from quantlab.types import Variant
from quantlab.types.executor_options import ExecutorOptions
from quantlab.types.messages import Done, Failed, Progress, Ready, Timed, Waiting

__all__ = ["check_runtime_dies_timed", "check_runtime_times", "check_runtime_times_nothing"]

PLAN = TimingPlan(warm_up_seconds=0.01, seconds=0.02, most_seconds=10, least_runs=5, enough_runs=20, most_runs=200)


def check_runtime_times(runtime: Runtime, workbench: Workbench, format_name: str, folder: Path) -> None:
    """A variant is timed in a process of its own that is gone after.

    Nothing is written, and the memory is that of the runtime with nothing loaded, and more.
    """
    name = model_for(format_name, "activations")
    job = _timed_job(runtime, workbench, name, workbench.float32(name, format_name))
    with no_process_left(), ChildPool(folder / "shop", stall_seconds=300) as pool:
        waiting, ready, *heartbeats, timed, last = protocol.time(runtime, job, PLAN, pool)
        assert waiting == Waiting()
        assert (type(ready), ready.ran_on, last) == (Ready, runtime.name, Done())
        assert all(isinstance(heartbeat, Progress) for heartbeat in heartbeats)
        _check_times(timed)


def check_runtime_times_nothing(runtime: Runtime, workbench: Workbench, format_name: str, folder: Path) -> None:
    """A variant that cannot be loaded has no times, but a reason, and its process is gone after."""
    name = model_for(format_name, "activations")
    job = _timed_job(runtime, workbench, name, workbench.float32(name, format_name))
    with no_process_left(), ChildPool(folder / "shop", stall_seconds=300) as pool:
        *_, failed = protocol.time(runtime, replace(job, artifact=str(folder / "gone")), PLAN, pool)
        assert isinstance(failed, Failed)
        assert failed.reason


def check_runtime_dies_timed(runtime: Runtime, workbench: Workbench, format_name: str, folder: Path) -> None:
    """A variant whose process is killed while it is timed has no times, and leaves no process."""
    name = model_for(format_name, "activations")
    job = _timed_job(runtime, workbench, name, workbench.float32(name, format_name))
    with no_process_left(), ChildPool(folder / "shop", stall_seconds=300) as pool:
        endless = replace(PLAN, seconds=600, most_seconds=600, most_runs=10**9)
        if runtime.name.startswith(("python", "node")):  # a browser has not started yet
            messages = protocol.time(runtime, job, endless, pool)
            assert next(messages) == Waiting()
            kill_newest()
            with pytest.raises(ChildDied, match=KILLED):
                list(messages)
        messages = protocol.time(runtime, job, endless, pool)
        assert [type(next(messages)) for _ in range(2)] == [Waiting, Ready]
        kill_newest()
        with pytest.raises(ChildDied, match=KILLED):
            list(messages)


def _timed_job(runtime: Runtime, workbench: Workbench, name: str, variant: Variant) -> Job:
    names = names_in_library_order(workbench, name)
    shapes = {output: array.shape[1:] for output, array in zip(names, workbench.models[name].outputs, strict=True)}
    outputs = tuple(
        TensorFile(port.name, "", 0, tuple(shapes[port.name]), "float32", port.tensor, port.position)
        for port in variant.outputs
    )
    inputs = input_files(workbench.samples(name), variant)
    return Job(
        variant.format,
        str(variant.path),
        runtime.backend,
        1,
        0,
        1,
        inputs,
        outputs,
        ExecutorOptions(),
        **executors(variant.format),
    )


def _check_times(timed: Timed) -> None:
    assert isinstance(timed, Timed)
    assert all(0 < milliseconds < 60_000 for milliseconds in (timed.load_ms, timed.first_run_ms, *timed.runs_ms))
    assert PLAN.enough_runs <= len(timed.runs_ms) <= PLAN.most_runs
    assert timed.idle_memory_bytes is not None
    assert timed.peak_memory_bytes is not None
    assert 20e6 < timed.idle_memory_bytes <= timed.peak_memory_bytes < 4e9
    assert timed.memory_reason is None
