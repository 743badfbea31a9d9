"""Sessions: a graph stays in the worker that opened it, and waiting sessions get an answer or an error."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pytest
from contracts import executors

from quantlab.errors import TrialError
from quantlab.processes import Child, ChildPool, end_lasting_children
from quantlab.runtimes import RUNTIMES, Job, Taps, input_files
from quantlab.runtimes.exchange import TensorFile
from quantlab.runtimes.taps import graph_taps, open_session
from quantlab.types.executor_options import ExecutorOptions


def tap_job(workbench, name="activations"):
    variant, samples = workbench.float32(name, "tfjs"), workbench.samples(name)
    (port,), (output,) = variant.outputs, workbench.models[name].outputs
    outputs = (TensorFile(port.name, "", 0, output.shape[1:], "float32", port.tensor, port.position),)
    return Job(
        "tfjs",
        str(variant.path),
        "",
        3,
        0,
        samples.n,
        input_files(samples, variant),
        outputs,
        ExecutorOptions(),
        **executors("tfjs"),
    )


def test_graphs_take_turns_and_each_stays_in_its_lane(tmp_path):
    with ChildPool(tmp_path, stall_seconds=60) as pool:
        first, second, third = (pool.lane(graph) for graph in ("a", "b", "c"))
        assert (first is pool.lane("a"), second is pool.lane("b")) == (True, True)
        assert (first is third, first is second) == (True, False)


def in_python(job, names, file, pool):
    return open_session(RUNTIMES["python"], replace(job, taps=Taps(str(file), tuple(names))), pool)


@dataclass
class CountedPool(ChildPool):
    started: int = 0

    def keep(self, child):
        self.started += 1
        return super().keep(child)


def assert_alike_at_once(sessions):
    """Each is read four times, four of them at once, and all give the same taps."""
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda session: session.read(0, 3).taps.keys(), sessions * 4))
    assert len(read[0]) > 10
    assert all(names == read[0] for names in read)


def test_two_workers_do_for_any_number_of_sessions(workbench, tmp_path):
    """Else every graph would be opened in every worker before long, and memory would grow with the samples."""
    job = tap_job(workbench)
    with CountedPool(tmp_path / "shop", stall_seconds=300) as pool:
        names = [tap.name for tap in graph_taps(job, pool) if tap.reason is None]
        # The same graph under three names, as that of three variants.
        jobs = [replace(job, artifact=job.artifact + "/" * place) for place in range(3)]
        sessions = [in_python(renamed, names, tmp_path / f"{len(renamed.artifact)}.bin", pool) for renamed in jobs]
        assert_alike_at_once(sessions)
        assert pool.started == 2


def test_a_session_that_is_refused_costs_no_other(workbench, tmp_path):
    """It is tried once more in a worker of its own; whoever holds what it raised must not hold the lane."""
    job = tap_job(workbench)
    with CountedPool(tmp_path / "shop", stall_seconds=300) as pool:
        names = [tap.name for tap in graph_taps(job, pool) if tap.reason is None]
        refusing = in_python(job, ["no such node"], tmp_path / "none.bin", pool)
        with pytest.raises(TrialError) as refused:
            refusing.read(0, 1)
        assert in_python(job, names, tmp_path / "taps.bin", pool).read(0, 1).taps
        assert (pool.started, "no such node" in str(refused.value)) == (3, True)


def test_a_session_is_opened_again_where_its_worker_died(workbench, tmp_path):
    job = tap_job(workbench)
    with ChildPool(tmp_path / "shop", stall_seconds=300) as pool:
        names = [tap.name for tap in graph_taps(job, pool) if tap.reason is None]
        session = in_python(job, names, tmp_path / "taps.bin", pool)
        before = {name: np.array(value) for name, value in session.read(0, 3).taps.items()}
        pool.take([f"{pool.lane(f'{job.format} {job.artifact}').kind} of python"], pytest.fail).close()
        after = session.read(0, 3).taps
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_whoever_waits_for_a_lane_is_told_when_the_study_ends(workbench, tmp_path):
    job = tap_job(workbench)
    with ChildPool(tmp_path / "shop", stall_seconds=300) as pool:
        names = [tap.name for tap in graph_taps(job, pool) if tap.reason is None]
        session = in_python(job, names, tmp_path / "taps.bin", pool)
        session.read(0, 1)
        lane = pool.lane(f"{job.format} {job.artifact}")
        raised = []

        def read():
            try:
                session.read(0, 1)
            except Exception as error:  # noqa: BLE001  # whatever it is, the thread must end
                raised.append(error)

        with lane.lock:
            waiting = threading.Thread(target=read)
            waiting.start()
            pool.close()
        waiting.join(60)
        assert not waiting.is_alive()
        assert raised


def in_node(job, names, file, pool):
    return open_session(RUNTIMES["node-wasm"], replace(job, taps=Taps(str(file), tuple(names))), pool)


def test_two_node_processes_do_for_any_number_of_sessions(workbench, tmp_path):
    end_lasting_children()
    job = tap_job(workbench)
    with CountedPool(tmp_path / "shop", stall_seconds=300) as pool:
        names = [tap.name for tap in graph_taps(job, pool) if tap.reason is None]
        workers = pool.started
        jobs = [replace(job, artifact=job.artifact + "/" * place) for place in range(3)]
        sessions = [in_node(renamed, names, tmp_path / f"{len(renamed.artifact)}.bin", pool) for renamed in jobs]
        assert_alike_at_once(sessions)
        assert pool.started - workers == 2


def test_a_session_whose_shared_process_died_goes_on_in_one_of_its_own(workbench, tmp_path, monkeypatch):
    """The other sessions of the process are opened again in the next one, from what they ask."""
    job = tap_job(workbench)
    with CountedPool(tmp_path / "shop", stall_seconds=300) as pool:
        names = [tap.name for tap in graph_taps(job, pool) if tap.reason is None]
        first, second = (in_node(job, names, tmp_path / f"{place}.bin", pool) for place in range(2))
        before = [
            {name: np.array(value) for name, value in session.read(0, 3).taps.items()} for session in (first, second)
        ]
        started = pool.started
        send, sent = Child.send, []

        def send_too_late(child, document):
            if not sent:  # to the shared process, and not to the session's own
                sent.append(child)
                os.kill(child.pid, signal.SIGKILL)
                while child.alive:
                    time.sleep(0.01)
            send(child, document)

        with monkeypatch.context() as patch:
            patch.setattr(Child, "send", send_too_late)
            after = [first.read(0, 3)]
        after.append(second.read(0, 3))
        assert (first.lane, pool.started - started) == (None, 2)
        assert second.lane is not None
        for old, new in zip(before, after, strict=True):
            assert old.keys() == new.taps.keys()
            assert all(np.array_equal(old[name], new.taps[name]) for name in old)


def test_a_range_that_there_is_not_is_refused(workbench, tmp_path):
    job = tap_job(workbench)
    with ChildPool(tmp_path / "shop", stall_seconds=300) as pool:
        session = in_node(job, [], tmp_path / "taps.bin", pool)
        with pytest.raises(TrialError, match=f"among the {job.stop} there are"):
            session.read(0, job.stop + 1)
