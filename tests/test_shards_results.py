"""Results that workers began to write, and answers to tasks of another version."""

import hashlib
import os
import resource
import threading
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import gettempdir

import pytest
from command_line import PATIENCE

from quantlab.formats import FORMATS
from quantlab.runtimes import Job, python
from quantlab.runtimes.exchange import TensorFile
from quantlab.study.shards import this_worker
from quantlab.study.shards.delivery import SharedFolder
from quantlab.study.shards.results import remove_unfinished
from quantlab.study.shards.task import Task
from quantlab.study.shards.worker import run_task
from quantlab.types.executor_options import ExecutorOptions


@pytest.mark.parametrize(
    ("silent_seconds", "left"),
    [
        pytest.param(0, {"done.outputs"}, id="of this machine"),
        pytest.param(60, {"done.outputs", ".new"}, id="of others"),
    ],
)
def test_what_is_still_written_is_kept(silent_seconds, left, tmp_path):
    for name in ("done.outputs", ".old", ".new"):
        (tmp_path / name).touch()
    os.utime(tmp_path / ".old", times=(time.time() - 100,) * 2)
    remove_unfinished(tmp_path, silent_seconds=silent_seconds)
    assert {file.name for file in tmp_path.iterdir()} == left


def test_nothing_is_removed_where_there_is_no_folder(tmp_path):
    remove_unfinished(tmp_path / "missing", silent_seconds=0)
    assert list(tmp_path.iterdir()) == []


def test_a_result_of_another_machine_may_be_seen_later(tmp_path):
    assert not SharedFolder(tmp_path).bring("key")
    threading.Timer(0.3, (tmp_path / "key.outputs").touch).start()
    assert SharedFolder(tmp_path, appears_seconds=PATIENCE).bring("key")


def test_a_full_disk_is_named_by_the_file_that_needs_room(tmp_path):
    output = TensorFile("y", "", 0, (10_000,), "float32", "y", 0)
    job = Job("tflite", "", "", 32, 0, 32, (), (output,), ExecutorOptions(), python.REFERENCE)
    nothing, versions = hashlib.sha256().hexdigest(), python.environment(FORMATS["tflite"])
    task = Task("key", "call", str(tmp_path), "python", job, nothing, "", "", "", versions, version("quantlab"), 60, {})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        answer = run_task(task.document())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    before, place, after = answer["reason"].split("'", 2)
    assert before == f"the worker on {this_worker().host} cannot use "
    assert Path(place).is_relative_to(gettempdir())
    assert after == (
        " (File too large for 1.28 MB); share the study's folder and the model with all workers, at the same path, "
        "and make room there"
    )


def test_a_task_of_another_version_is_refused_before_it_is_read():
    answer = run_task({"type": "task", "quantlab": "0.0.1", "a field of that version": 1})
    assert answer["type"] == "failed"
    assert answer["reason"].startswith(f"the worker on {this_worker().host} has quantlab ")
    assert " and not 0.0.1, on which outputs depend; install the same versions on all workers" in answer["reason"]
