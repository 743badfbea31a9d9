"""What a worker says while it runs a job in batches."""

import itertools

import numpy as np
import pytest

from quantlab.runtimes import Job, create_output, python
from quantlab.runtimes.exchange import TensorFile
from quantlab.types.executor_options import ExecutorOptions
from quantlab.types.messages import Progress, Repeated
from quantlab.worker.batches import run_batches
from quantlab.worker.execution import Execution

N, BATCH, START = 1000, 4, 100
TICK = 0.01


@pytest.fixture
def job(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(2 * N, dtype=np.float32).reshape(N, 2))
    create_output(tmp_path / "y.npy", n=N, shape=(2,), dtype="float32")
    header = {name: (tmp_path / f"{name}.npy").stat().st_size - 8 * N for name in "xy"}
    files = [TensorFile(name, str(tmp_path / f"{name}.npy"), header[name], (2,), "float32", name, 0) for name in "xy"]
    options = ExecutorOptions()
    return Job("", "", "", BATCH, START, N, (files[0],), (files[1],), options, python.REFERENCE)


@pytest.fixture
def clock(monkeypatch):
    """Each look at it is a hundredth of a second later."""
    looks = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: TICK * next(looks))


def heard(job):
    said = []
    run_batches(job, Execution(lambda batch: [2 * batch[0]], {}), said.append)
    return [one for one in said if isinstance(one, Progress)], [one for one in said if isinstance(one, Repeated)]


@pytest.mark.usefixtures("clock")
def test_quick_batches_are_told_of_together_and_each_counts_once(job, tmp_path):
    told, repeated = heard(job)
    assert (told[0].done, told[0].batch) == (START + BATCH, BATCH)  # alone, since times leave it out
    assert told[-1].done == N
    assert sum(one.batch for one in told) == N - START
    np.testing.assert_array_equal(np.cumsum([one.batch for one in told]) + START, [one.done for one in told])
    assert len(told) < (N - START) / BATCH / 2
    assert sum(one.seconds for one in told) == pytest.approx(TICK * (N - START) / BATCH)
    assert len(repeated) == 1
    assert np.load(tmp_path / "y.npy")[START:].tolist() == (2 * np.load(tmp_path / "x.npy"))[START:].tolist()


def test_a_slow_batch_is_told_of_at_once(job, monkeypatch):
    monkeypatch.setattr("quantlab.worker.batches._TELL_SECONDS", 0.0)
    told, _ = heard(job)
    assert [one.batch for one in told] == [BATCH] * ((N - START) // BATCH)


def test_a_disk_without_room_for_outputs_is_named_with_the_size(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space left") as refused:
        create_output(tmp_path / "y.npy", n=N, shape=(2,), dtype="float32")
    assert (refused.value.strerror, refused.value.filename) == (
        "No space left on device for 0.01 MB",
        str(tmp_path / "y.npy"),
    )
