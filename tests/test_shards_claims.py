"""Claims of tasks: exclusive, released, taken over from the dead, and not for ever."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from command_line import PATIENCE

from quantlab.errors import StudyError
from quantlab.study.depot import FolderDepot, Pace
from quantlab.study.depot.owners import owned
from quantlab.study.shards.claims import MOST_ATTEMPTS, Exhausted, claimed, forget_claims
from quantlab.study.shards.delivery import SharedFolder

_WORKERS = 8


def _processes() -> multiprocessing.context.ForkServerContext:
    """Processes that are forks of one that has imported what is tested."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([claimed.__module__])
    return processes


def _race(folder: Path, start: "multiprocessing.synchronize.Event", number: int) -> None:
    """Claim the task, and leave a file if nobody else had it at the same time."""
    start.wait()
    result = folder / "result"
    with claimed(FolderDepot(folder), "task", call="call", done=result.is_file) as mine:
        if not mine:
            (folder / f"found-{number}").touch()
            return
        (folder / "inside").touch(exist_ok=False)
        time.sleep(0.05)
        (folder / "inside").unlink()
        (folder / f"ran-{number}").touch()
        result.touch()


@pytest.mark.starts_children
def test_one_of_many_workers_runs_a_task_and_the_others_find_its_result(tmp_path):
    processes = _processes()
    start = processes.Event()
    workers = [processes.Process(target=_race, args=(tmp_path, start, number)) for number in range(_WORKERS)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join(PATIENCE)
    assert [worker.exitcode for worker in workers] == [0] * _WORKERS
    assert len(list(tmp_path.glob("ran-*"))) == 1
    assert len(list(tmp_path.glob("found-*"))) == _WORKERS - 1
    assert list(tmp_path.glob("*claim*")) == []


def _claim_and_die(folder: Path) -> None:
    with claimed(FolderDepot(folder), "task", call="call", done=lambda: False):
        os.kill(os.getpid(), signal.SIGKILL)


def _died(folder: Path) -> None:
    worker = _processes().Process(target=_claim_and_die, args=(folder,))
    worker.start()
    worker.join(PATIENCE)
    assert worker.exitcode == -signal.SIGKILL


@pytest.mark.starts_children
def test_the_claim_of_a_dead_worker_is_followed_by_one_more_and_then_the_task_is_given_up(tmp_path):
    _died(tmp_path)
    with claimed(FolderDepot(tmp_path), "task", call="call", done=lambda: False) as mine:
        assert mine
    assert [mark.name for mark in tmp_path.iterdir()] == ["task.claim-call-1"]
    _died(tmp_path)
    assert len(list(tmp_path.iterdir())) == MOST_ATTEMPTS
    with pytest.raises(Exhausted), claimed(FolderDepot(tmp_path), "task", call="call", done=lambda: False):
        pass
    with claimed(
        FolderDepot(tmp_path), "task", call="next", done=lambda: False
    ) as mine:  # another call has all attempts
        assert mine
        assert (tmp_path / "task.claim-next-1").is_file()
    (tmp_path / "task2.claim-next-1").write_bytes(b"")
    forget_claims(FolderDepot(tmp_path), {"task"})
    assert [file.name for file in tmp_path.iterdir()] == ["task2.claim-next-1"]


def test_a_call_that_ends_while_it_forgets_leaves_no_claim_without_a_result(tmp_path):
    (tmp_path / "task.claim-call-1").touch()
    (tmp_path / "task.outputs").mkdir()  # it cannot be removed like a file
    with pytest.raises(OSError, match=r"task\.outputs"):
        SharedFolder(tmp_path).forget({"task"})
    assert [file.name for file in tmp_path.iterdir()] == ["task.outputs"]


@pytest.mark.parametrize("call", [pytest.param("call", id="this call"), pytest.param("earlier", id="an earlier call")])
def test_a_task_waits_while_a_living_worker_has_it(call, tmp_path):
    looks = iter([False, False, False, False])
    with (
        claimed(FolderDepot(tmp_path), "task", call=call, done=lambda: False),
        claimed(FolderDepot(tmp_path), "task", call="call", done=lambda: next(looks, True)) as mine,
    ):
        assert not mine
        assert [mark.name for mark in tmp_path.iterdir()] == [f"task.claim-{call}-1"]


def test_a_claim_whose_link_was_made_while_its_answer_was_lost_is_ours(tmp_path, monkeypatch):
    link = os.link

    def made_and_asked_again(source, target):  # as NFS does
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", made_and_asked_again)
    with claimed(FolderDepot(tmp_path), "task", call="call", done=lambda: False) as mine:
        assert mine
    assert list(tmp_path.iterdir()) == []


def test_a_claim_is_released_whatever_happens_inside(tmp_path):
    with (
        pytest.raises(RuntimeError, match="inside"),
        claimed(FolderDepot(tmp_path), "task", call="call", done=lambda: False),
    ):
        raise RuntimeError("inside")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(json.dumps({"machine": "another", "process": 1, "started": 1}), id="of another machine"),
        pytest.param("{", id="that cannot be read"),
    ],
)
def test_a_claim_is_taken_over_once_nobody_touches_it_any_more(content, tmp_path):
    (tmp_path / "task.claim-call-1").write_text(content)
    os.utime(tmp_path / "task.claim-call-1", (2**33, 2**33))  # the clock of another machine may be wrong
    soon = FolderDepot(tmp_path, Pace(touch_seconds=2, silent_seconds=0.2, look_seconds=0.1))
    with claimed(soon, "task", call="call", done=lambda: False) as mine:
        assert mine
        assert (tmp_path / "task.claim-call-2").is_file()


def test_a_result_ends_the_waiting_for_another_machine(tmp_path):
    (tmp_path / "task.claim-call-1").write_text(json.dumps({"machine": "another", "process": 1, "started": 1}))
    looks = iter([False, False, False])
    with claimed(FolderDepot(tmp_path), "task", call="call", done=lambda: next(looks, True)) as mine:
        assert not mine


_NEVER = Pace(touch_seconds=1, silent_seconds=10_000, look_seconds=0.01)


class _AwayAtTheEnd(FolderDepot):
    """A depot that does not answer when a claim is to be removed."""

    def remove(self, name: str) -> None:
        raise StudyError(f"'{name}' was not reached")


def test_a_claim_that_could_not_be_removed_does_not_block_the_process_that_left_it(tmp_path):
    with claimed(_AwayAtTheEnd(tmp_path, _NEVER), "task", call="earlier", done=lambda: False) as mine:
        assert mine
    assert (tmp_path / "task.claim-earlier-1").is_file()
    looks = iter([False, False])
    with claimed(FolderDepot(tmp_path, _NEVER), "task", call="call", done=lambda: next(looks, True)) as mine:
        assert mine


def test_a_claim_is_released_if_it_cannot_be_told_whether_there_is_a_result(tmp_path):
    looks = iter([False])

    def done() -> bool:
        for known in looks:
            return known
        raise StudyError("the store is away")

    with pytest.raises(StudyError), claimed(FolderDepot(tmp_path), "task", call="call", done=done):
        pass
    assert list(tmp_path.iterdir()) == []


def of_another_process() -> bytes:
    """The content of a claim that a process of this machine has made which lives."""
    process, stat = os.getppid(), Path(f"/proc/{os.getppid()}/stat")
    started = int(stat.read_text().rpartition(")")[2].split()[19]) if stat.exists() else 0
    with owned() as content:
        return json.dumps({**json.loads(content), "process": process, "started": started}).encode()


def test_a_claim_that_another_process_of_this_machine_left_behind_is_taken_over_in_the_end(tmp_path):
    (tmp_path / "task.claim-earlier-1").write_bytes(of_another_process())
    looks = iter([False, False, False])
    with claimed(FolderDepot(tmp_path, _NEVER), "task", call="call", done=lambda: next(looks, True)) as mine:
        assert not mine
    soon = FolderDepot(tmp_path, Pace(touch_seconds=2, silent_seconds=0.2, look_seconds=0.1))
    looks = iter([False] * 50)
    with claimed(soon, "task", call="call", done=lambda: next(looks, True)) as mine:
        assert mine
