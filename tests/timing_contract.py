"""What every runtime must hold that times a variant: `check_runtime_times`, and `check_runtime_dies_timed`."""

from dataclasses import replace
from pathlib import Path

import pytest
from contracts import KILLED, Workbench, executors, kill_newest, model_for, names_in_library_order, no_process_left

from quantlab.processes import ChildDied, ChildPool, Message
from quantlab.runtimes import Job, Runtime, TimingPlan, input_files
from quantlab.runtimes.exchange import TensorFile
from quantlab.types import Variant

__all__ = ["check_runtime_dies_timed", "check_runtime_times"]

PLAN = TimingPlan(warm_up_seconds=0.01, seconds=0.02, most_seconds=10, least_runs=5, enough_runs=20, most_runs=200)


def check_runtime_times(runtime: Runtime, workbench: Workbench, format_name: str, folder: Path) -> None:
    """A variant is timed in a process of its own that is gone after; one that cannot be loaded has no times.

    Nothing is written, and the memory is that of the runtime with nothing loaded, and more.
    """
    name = model_for(format_name, "activations")
    job = _timed_job(runtime, workbench, name, workbench.float32(name, format_name))
    with no_process_left(), ChildPool(folder / "shop", stall_seconds=300) as pool:
        waiting, ready, *heartbeats, timed, last = runtime.time(job, PLAN, pool)
        assert waiting == {"type": "waiting"}
        assert (ready["type"], ready["ran_on"], last) == ("ready", runtime.name, {"type": "done"})
        assert [each["type"] for each in heartbeats] == ["progress"] * len(heartbeats)
        _check_times(timed)
        gone = replace(job, artifact=str(folder / "gone"))
        *_, failed = runtime.time(gone, PLAN, pool)
        assert failed["type"] == "failed"
        assert failed["reason"]


def check_runtime_dies_timed(runtime: Runtime, workbench: Workbench, format_name: str, folder: Path) -> None:
    """A variant whose process is killed while it is timed has no times, and leaves no process."""
    name = model_for(format_name, "activations")
    job = _timed_job(runtime, workbench, name, workbench.float32(name, format_name))
    with no_process_left(), ChildPool(folder / "shop", stall_seconds=300) as pool:
        endless = replace(PLAN, seconds=600, most_seconds=600, most_runs=10**9)
        if runtime.name.startswith(("python", "node")):  # a browser has not started yet
            messages = runtime.time(job, endless, pool)
            assert next(messages) == {"type": "waiting"}
            kill_newest()
            with pytest.raises(ChildDied, match=KILLED):
                list(messages)
        messages = runtime.time(job, endless, pool)
        assert [next(messages)["type"] for _ in range(2)] == ["waiting", "ready"]
        kill_newest()
        with pytest.raises(ChildDied, match=KILLED):
            list(messages)


def _timed_job(runtime: Runtime, workbench: Workbench, name: str, variant: Variant) -> Job:
    names = names_in_library_order(workbench, name)
    shapes = {each: array.shape[1:] for each, array in zip(names, workbench.models[name].outputs, strict=True)}
    outputs = tuple(
        TensorFile(port.name, "", 0, tuple(shapes[port.name]), "float32", port.tensor, port.position)
        for port in variant.outputs
    )
    inputs = input_files(workbench.samples(name), variant)
    return Job(
        variant.format, str(variant.path), runtime.backend, 1, 0, 1, inputs, outputs, {}, **executors(variant.format)
    )


def _check_times(timed: Message) -> None:
    assert set(timed) == {
        "type",
        "load_ms",
        "first_run_ms",
        "runs_ms",
        "idle_memory_bytes",
        "peak_memory_bytes",
        "memory_reason",
    }
    assert timed["type"] == "timed"
    assert all(0 < each < 60_000 for each in (timed["load_ms"], timed["first_run_ms"], *timed["runs_ms"]))
    assert PLAN.enough_runs <= len(timed["runs_ms"]) <= PLAN.most_runs
    assert 20e6 < timed["idle_memory_bytes"] <= timed["peak_memory_bytes"] < 4e9
    assert timed["memory_reason"] is None
