"""Rounds: every run gets every shard that it wants once, and few shards are on the disk at a time."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import SamplesError, TrialError
from quantlab.processes import ChildDied
from quantlab.study.shards.rounds import Rounds
from quantlab.types import SampleSet

SHARDS, PRESENT = 12, 4


class Source:
    """Stands in for samples that are read: each shard is a folder."""

    def __init__(self, pause: float = 0.0, *, fails_at: int | None = None) -> None:
        self.rounds: list[list[int]] = []
        self.most = 0
        self._pause, self._fails_at = pause, fails_at

    def read(self, wanted: Sequence[int], folder: Path) -> Iterator[tuple[int, SampleSet]]:
        self.rounds.append([])
        for number in wanted:
            time.sleep(self._pause)
            if number == self._fails_at:
                raise SamplesError("the file is gone")
            own = folder / str(number)
            own.mkdir()
            self.rounds[-1].append(number)
            self.most = max(self.most, len(list(folder.iterdir())))
            yield number, SampleSet(own, (), 1, False, "", "", 1, "all")


def taken(rounds: Rounds, wanted: Sequence[int], pause: float = 0.0, ahead: int = 2) -> list[int]:
    """What a run gets that uses up to `ahead` shards at a time."""
    got, held = [], []
    with rounds.subscribe(wanted) as subscriber:
        while (arrived := subscriber.next(lambda: bool(held))) is not None or held:
            if arrived is not None:
                assert arrived.samples.folder.is_dir()
                got.append(arrived.number)
                held.append(arrived.number)
                if len(held) < ahead:
                    continue
            time.sleep(pause)
            subscriber.done(held.pop(0))
    return got


def side_by_side(runs: Sequence[Any]) -> None:
    threads = [threading.Thread(target=run) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "rounds"


def test_runs_of_the_same_time_share_a_round(folder):
    source, got = Source(), dict[int, list[int]]()

    def run(name: int, pause: float) -> None:
        got[name] = taken(rounds, range(SHARDS), pause)

    with Rounds(source, folder, PRESENT) as rounds:
        side_by_side([lambda name=name: run(name, 0.003 * name) for name in range(3)])
    assert got == {name: [*range(SHARDS)] for name in range(3)}
    assert source.rounds == [[*range(SHARDS)]]
    assert source.most <= PRESENT
    assert not folder.exists()


def test_a_run_that_comes_later_takes_the_rest_and_then_the_beginning(folder):
    source, got = Source(0.01), list[int]()
    begun = threading.Event()

    def first() -> None:
        with rounds.subscribe(range(SHARDS)) as subscriber:
            while (arrived := subscriber.next()) is not None:
                subscriber.done(arrived.number)
                if arrived.number == SHARDS // 2:
                    begun.set()

    def second() -> None:
        begun.wait(20)
        got.extend(taken(rounds, range(SHARDS)))

    with Rounds(source, folder, PRESENT) as rounds:
        side_by_side([first, second])
    assert sorted(got) == [*range(SHARDS)]
    assert got[0] >= SHARDS // 2
    assert source.rounds[0] == [*range(SHARDS)]
    assert source.rounds[1] == sorted(set(range(SHARDS)) - set(got[: got.index(SHARDS - 1) + 1]))


def test_a_round_ends_when_nobody_wants_the_rest(folder):
    source = Source()
    with Rounds(source, folder, PRESENT) as rounds:
        with rounds.subscribe(range(SHARDS)) as subscriber:
            arrived = subscriber.next()
            assert arrived is not None
            subscriber.done(arrived.number)
        assert sorted(taken(rounds, [0, 5])) == [0, 5]
    assert len(source.rounds[0]) <= PRESENT + 2
    assert {*source.rounds[-1]} <= {0, 5}


def test_a_run_that_leaves_while_a_round_is_gathered_ends_nothing(folder):
    source = Source()
    with Rounds(source, folder, PRESENT) as rounds:
        with rounds.subscribe([0, 1]):
            time.sleep(0.05)
        time.sleep(0.3)
        got = list[int]()
        side_by_side([lambda: got.extend(taken(rounds, [2]))])
    assert got == [2]
    assert source.rounds == [[2]]


def test_a_run_that_fails_gives_its_shards_back(folder):
    source, got = Source(), list[int]()

    def failing() -> None:
        with contextlib.suppress(KeyError), rounds.subscribe(range(SHARDS)) as subscriber:
            subscriber.next()
            subscriber.next()
            raise KeyError

    with Rounds(source, folder, 2) as rounds:
        side_by_side([failing, lambda: got.extend(taken(rounds, range(SHARDS)))])
    assert got == [*range(SHARDS)]
    assert source.most == 2


def test_a_run_that_does_not_use_all_inputs_is_refused(folder):
    cut = SimpleNamespace(samples=SimpleNamespace(inputs=("a", "b")), sha256=("first", "second"))
    rounds = Rounds(cut, folder, PRESENT)
    assert rounds.sha256_of(1, 2) == "second"
    with pytest.raises(TrialError) as refused:
        rounds.sha256_of(1, 1)
    assert str(refused.value) == (
        "it uses 1 of the model's 2 inputs, and --keep-samples few has hashes of all together; run it without "
        "--keep-samples few"
    )


def test_something_else_to_do_ends_the_waiting(folder):
    source, done = Source(0.5), threading.Event()
    with Rounds(source, folder, PRESENT) as rounds, rounds.subscribe([0]) as subscriber:
        threading.Timer(0.05, lambda: (done.set(), subscriber.wake())).start()
        assert subscriber.next(done.is_set) is None
        assert source.rounds in ([], [[]])
        arrived = subscriber.next()
        assert arrived is not None
        assert arrived.number == 0
        assert subscriber.next() is None


def test_no_shards_are_read_for_a_run_that_wants_none(folder):
    source = Source()
    with Rounds(source, folder, PRESENT) as rounds:
        assert taken(rounds, []) == []
    assert source.rounds == []


def test_samples_that_cannot_be_read_end_every_run(folder):
    said = list[str]()

    def run() -> None:
        with pytest.raises(SamplesError) as refused:
            taken(rounds, range(SHARDS))
        said.append(str(refused.value))

    source = Source(fails_at=3)
    with Rounds(source, folder, PRESENT) as rounds:
        side_by_side([run, run])
        assert taken(rounds, [4, 5]) == [4, 5]  # what was wrong may be over when another run comes
    assert said == ["the file is gone"] * 2
    assert source.rounds == [[0, 1, 2], [4, 5]]


def test_a_stop_ends_runs_that_wait(folder):
    source, said = Source(0.05), list[str]()

    def run() -> None:
        with pytest.raises(ChildDied) as stopped:
            taken(rounds, range(1000))
        said.append(str(stopped.value))

    with Rounds(source, folder, PRESENT) as rounds:
        timer = threading.Timer(0.5, rounds.stop)
        timer.start()
        side_by_side([run, run])
    assert said == ["the study was stopped before its samples were read"] * 2


@settings(deadline=None, max_examples=25)
@given(
    wishes=st.lists(st.sets(st.integers(0, SHARDS - 1)), min_size=1, max_size=5),
    pauses=st.lists(st.sampled_from([0.0, 0.001, 0.004]), min_size=5, max_size=5),
    ahead=st.integers(1, 5),
)
def test_whatever_runs_want_they_get_it_once(wishes, pauses, ahead, tmp_path_factory):
    source, got = Source(), dict[int, list[int]]()
    any_folder = tmp_path_factory.mktemp("any") / "rounds"
    with Rounds(source, any_folder, PRESENT, gathering_seconds=0.01) as rounds:  # there are dozens of rounds

        def run(name: int) -> None:
            time.sleep(pauses[name] * 5)
            got[name] = taken(rounds, wishes[name], pauses[name], ahead)

        side_by_side([lambda name=name: run(name) for name in range(len(wishes))])
    assert {name: sorted(numbers) for name, numbers in got.items()} == {
        name: sorted(wish) for name, wish in enumerate(wishes)
    }
    assert source.most <= PRESENT
