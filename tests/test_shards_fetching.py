"""A task whose files come from an object store: what is wrong is told with the place where it is."""

import errno
import hashlib
import tempfile
from dataclasses import replace

import pytest
from store_servers import s3_environment, serving_s3

from quantlab.errors import TrialError
from quantlab.runtimes import Job
from quantlab.runtimes.python import REFERENCE
from quantlab.study.depot.objects import ObjectDepot
from quantlab.study.shards.delivery import JOINED_KEYS, ThroughObjects
from quantlab.study.shards.fetching import run_travelling
from quantlab.study.shards.task import Ran, Task, Travelling
from quantlab.types.executor_options import ExecutorOptions, ExternalFile


@pytest.fixture
def address(monkeypatch, tmp_path):
    with serving_s3() as stand_in:
        for name, value in s3_environment(stand_in).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield f"s3://bucket/{tmp_path.name}/digits.study"


def task_without_files() -> Task:
    """A task that fetches nothing, whose samples have no inputs."""
    job = Job("tflite", "", "", 32, 0, 32, (), (), ExecutorOptions(), REFERENCE)
    nothing = hashlib.sha256().hexdigest()
    return Task("key", "call", "", "python", job, nothing, "", "", "", {}, "1", 60.0, {})


def full(_: Task) -> Ran:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_by_the_folders_that_need_room(address, tmp_path):
    with pytest.raises(TrialError) as refused:
        run_travelling(task_without_files(), Travelling(address, (), {}, {}), full)
    folders = f"'{tmp_path / 'cache' / 'quantlab' / 'fetched'}' or '{tempfile.gettempdir()}'"
    assert f" cannot use {folders} (No space left on device); make room there, or set XDG_CACHE_HOME" in str(
        refused.value
    )


def test_what_a_killed_worker_left_is_removed_by_the_next(address, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "quantlab-shard-result-left"
    left.mkdir()
    with pytest.raises(TrialError):
        run_travelling(task_without_files(), Travelling(address, (), {}, {}), full)
    assert [path.name for path in tmp_path.glob("quantlab-*")] == []


def test_a_call_that_ends_while_it_forgets_has_noted_what_the_store_holds(address, tmp_path):
    results = tmp_path / "shards"
    (results / "first.outputs").mkdir(parents=True)  # it cannot be removed like a file
    (tmp_path / "work").mkdir()
    with pytest.raises(OSError, match=r"first\.outputs"):
        ThroughObjects(ObjectDepot.at(address), results).forget({"second", "first"})
    assert (tmp_path / JOINED_KEYS).read_text(encoding="ascii") == "first\nsecond\n"


def with_artifact(name: str) -> tuple[Task, Travelling]:
    return task_without_files(), Travelling("", (), {name: "0" * 64}, {})


def with_external(name: str) -> tuple[Task, Travelling]:
    task = task_without_files()
    options = ExecutorOptions(external_data=(ExternalFile("weights", name),))
    return replace(task, job=replace(task.job, options=options)), Travelling("", (), {"model.onnx": "0" * 64}, {})


def opened_at(name: str) -> tuple[Task, Travelling]:
    task = task_without_files()
    return replace(task, job=replace(task.job, artifact=name)), Travelling("", (), {"model.onnx": "0" * 64}, {})


@pytest.mark.parametrize("name", ["../other", "a/../../other", "/etc/other"])
@pytest.mark.parametrize("named", [with_artifact, with_external, opened_at])
def test_a_task_with_files_elsewhere_is_refused_before_anything_is_fetched(named, name, address, tmp_path):
    task, travelling = named(name)
    with pytest.raises(TrialError) as refused:
        run_travelling(task, replace(travelling, address=address), full)
    assert str(refused.value) == (
        f"a task names the file '{name}', which would not lie in the worker's folder of fetched files, so it is not "
        f"run; use the same quantlab here and on all workers"
    )
    assert list(tmp_path.iterdir()) == []
