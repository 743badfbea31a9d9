"""The lock of a study at an address: one owner at a time, and never for ever."""

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quantlab.errors import StudyError
from quantlab.study.depot import FolderDepot, Pace
from quantlab.study.remote.lock import locked_at

_SOON = Pace(touch_seconds=0.02, silent_seconds=0.3, look_seconds=0.05)
_OTHERS = json.dumps({"host": "other", "machine": "another", "process": 1, "started": 1}).encode()


@pytest.fixture
def depot(tmp_path):
    return FolderDepot(tmp_path, _SOON)


def ignored(_):
    """Nobody is told."""


def test_the_lock_is_held_and_released(depot):
    with locked_at(depot, "place", ignored) as lock:
        assert depot.names("lock-") == ["lock-000001"]
        lock.refuse_lost()
        with (
            pytest.raises(StudyError, match=r"is using the study at 'place'; wait for it, or choose another address$"),
            locked_at(depot, "place", ignored),
        ):
            pass
        lock.refuse_lost()
    assert depot.names("lock-") == []


def test_the_lock_is_released_whatever_happens_inside(depot):
    with pytest.raises(RuntimeError, match="inside"), locked_at(depot, "place", ignored):
        raise RuntimeError("inside")
    assert depot.names("lock-") == []


def test_an_owner_on_another_machine_that_gives_signs_of_life_is_not_disturbed(depot):
    depot.create("lock-000001", _OTHERS)
    stop = threading.Event()

    def live():
        while not stop.wait(_SOON.touch_seconds):
            depot.touch("lock-000001")

    living = threading.Thread(target=live)
    living.start()
    told = []
    try:
        with (
            pytest.raises(StudyError, match=r"^another quantlab on other is using the study at 'place'"),
            locked_at(depot, "place", told.append),
        ):
            pass
    finally:
        stop.set()
        living.join()
    assert told == ["'place' is locked by a quantlab on other; looking whether it lives, for up to 0 seconds"]
    assert depot.names("lock-") == ["lock-000001"]


@pytest.mark.parametrize(
    "content", [pytest.param(_OTHERS, id="of another machine"), pytest.param(b"{", id="unreadable")]
)
def test_an_owner_that_is_silent_is_followed(content, depot):
    depot.create("lock-000004", content)
    with locked_at(depot, "place", ignored):
        assert depot.names("lock-") == ["lock-000005"]
    assert depot.names("lock-") == []


def test_an_owner_of_this_machine_that_has_ended_is_followed_at_once(depot, tmp_path):
    with locked_at(depot, "place", ignored):
        content = json.loads(depot.read("lock-000001"))
    slow = FolderDepot(tmp_path, Pace(touch_seconds=1, silent_seconds=10_000, look_seconds=1))
    slow.create("lock-000001", json.dumps({**content, "started": content["started"] + 1}).encode())
    with locked_at(slow, "place", ignored):
        assert slow.names("lock-") == ["lock-000002"]


class _AwayAtTheEnd(FolderDepot):
    """A depot that does not answer when a lock is to be removed."""

    def remove(self, name: str) -> None:
        raise StudyError(f"'{name}' was not reached")


def test_a_lock_that_could_not_be_removed_does_not_block_the_process_that_left_it(tmp_path):
    pace = Pace(touch_seconds=1, silent_seconds=10_000, look_seconds=1)
    with locked_at(_AwayAtTheEnd(tmp_path, pace), "place", ignored):
        pass
    slow = FolderDepot(tmp_path, pace)
    assert slow.names("lock-") == ["lock-000001"]
    with locked_at(slow, "place", ignored):
        assert slow.names("lock-") == ["lock-000002"]


def test_a_lock_that_another_process_of_this_machine_left_behind_is_followed_once_it_is_silent(depot):
    with locked_at(depot, "place", ignored):
        content = json.loads(depot.read("lock-000001"))
    process, stat = os.getppid(), Path(f"/proc/{os.getppid()}/stat")
    started = int(stat.read_text().rpartition(")")[2].split()[19]) if stat.exists() else 0
    depot.create("lock-000001", json.dumps({**content, "process": process, "started": started}).encode())
    told = []
    with locked_at(depot, "place", told.append):
        assert depot.names("lock-") == ["lock-000002"]
    assert len(told) == 1


def test_an_owner_whose_lock_was_taken_over_does_not_go_on(depot):
    with locked_at(depot, "place", ignored) as lock:
        depot.remove(lock.name)
        depot.create("lock-000002", _OTHERS)
        with pytest.raises(StudyError, match=r"^another quantlab has taken over the study at 'place'"):
            lock.refuse_lost()


class _Overtaken(FolderDepot):
    """A depot where others follow the dead owner, end, and come anew, just before this process follows."""

    def create(self, name: str, content: bytes) -> bool:
        if name == "lock-000002":
            self.remove("lock-000001")
            super().create("lock-000001", _OTHERS.replace(b"1}", b"2}"))
        return super().create(name, content)


def test_a_new_lock_with_the_name_of_a_dead_one_is_not_ignored(tmp_path):
    depot = _Overtaken(tmp_path, _SOON)
    depot.create("lock-000001", _OTHERS)
    with pytest.raises(StudyError, match=r"is using the study at 'place'"), locked_at(depot, "place", ignored):
        pass
    assert depot.names("lock-") == ["lock-000001"]
    assert depot.read("lock-000001") != _OTHERS


def test_an_owner_whose_lock_has_another_owner_by_now_does_not_go_on_and_leaves_it(depot):
    with locked_at(depot, "place", ignored) as lock:
        depot.remove(lock.name)
        depot.create(lock.name, _OTHERS)
        with pytest.raises(StudyError, match=r"^another quantlab has taken over the study at 'place'"):
            lock.refuse_lost()
    assert depot.read("lock-000001") == _OTHERS


def test_of_many_that_follow_a_dead_owner_at_most_one_is_inside(depot):
    depot.create("lock-000001", _OTHERS)
    inside, most = [], []

    def follow(number):
        try:
            with locked_at(depot, "place", ignored):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.05)
                inside.remove(number)
                return True
        except StudyError:
            return False

    with ThreadPoolExecutor(8) as pool:
        entered = list(pool.map(follow, range(8)))
    assert max(most, default=0) <= 1
    assert sum(entered) == len(most)
    with locked_at(depot, "place", ignored):
        pass
