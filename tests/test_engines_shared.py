"""Workers that several studies share: fair over studies, few documents at the engine, and each study ends alone."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from quantlab.engines import Engine, EngineRequest, WorkerLost, Workers, shared_engines
from quantlab.engines.shared import SharedWorkers
from quantlab.errors import QuantlabError, RuntimeUnavailable
from quantlab.processes import Document


@dataclass(slots=True)
class Seam:
    """Workers that do nothing until a test answers, and remember what they were handed, in order."""

    count: int = 2
    handed: list[str] = field(default_factory=list)
    answers: "dict[str, Future[Document]]" = field(default_factory=dict)
    closed: int = 0

    def submit(self, function: str, document: Document) -> "Future[Document]":
        assert function == "module:function"
        name = str(document["name"])
        self.handed.append(name)
        self.answers[name] = Future()
        return self.answers[name]

    def close(self) -> None:
        self.closed += 1

    def answer(self, name: str) -> None:
        self.answers[name].set_result({"name": name})

    @property
    def at_once(self) -> list[str]:
        """What is at the engine now."""
        return [name for name, answer in self.answers.items() if not answer.done()]


@pytest.fixture
def seam() -> Seam:
    return Seam()


@pytest.fixture
def shared(seam: Seam) -> SharedWorkers:
    return SharedWorkers(seam)


def asked(study: Workers, name: str, count: int) -> "list[Future[Document]]":
    return [study.submit("module:function", {"name": f"{name}{place}"}) for place in range(count)]


def studies_of(names: list[str]) -> str:
    return "".join(name[0] for name in names)


def test_a_study_with_many_tasks_starves_no_other(seam, shared):
    large, small, late = (shared.view() for _ in range(3))
    asked(large, "a", 1000)
    answers = asked(small, "b", 3)
    for _ in range(4):
        seam.answer(seam.at_once[0])
    answers += asked(late, "c", 3)
    while not all(answer.done() for answer in answers):
        seam.answer(seam.at_once[0])
    # Three are at the engine: of two studies in turn, then one of each of three, and again of two as b has no more.
    assert studies_of(seam.handed)[:14] == "aaa" + "bab" + "a" + "cba" + "caca"
    assert [answer.result()["name"] for answer in answers] == ["b0", "b1", "b2", "c0", "c1", "c2"]


def test_tasks_of_a_study_keep_their_order(seam, shared):
    study = shared.view()
    asked(study, "a", 20)
    while seam.at_once:
        seam.answer(seam.at_once[-1])
    assert seam.handed == [f"a{place}" for place in range(20)]


def test_long_tasks_of_one_study_do_not_take_all_workers(seam, shared):
    slow, quick = shared.view(), shared.view()
    seam.count = 4
    asked(slow, "a", 10)
    asked(quick, "b", 50)
    for name in ("a0", "a1", "a2"):
        seam.answer(name)
    for _ in range(40):  # no other task of the slow study ends meanwhile
        seam.answer(next(name for name in seam.at_once if name.startswith("b")))
    assert studies_of(seam.at_once).count("a") <= 3


@pytest.mark.parametrize(("workers", "most"), [(1, 2), (2, 3), (4, 5), (16, 20), (100, 125)])
def test_little_more_than_the_workers_can_do_is_at_the_engine(workers, most):
    seam = Seam(workers)
    study = SharedWorkers(seam).view()
    assert study.count == workers
    asked(study, "a", 200)
    assert len(seam.at_once) == most
    seam.answer("a0")
    assert len(seam.at_once) == most


def test_a_cluster_that_grows_is_handed_more(seam, shared):
    study = shared.view()
    asked(study, "a", 20)
    assert len(seam.at_once) == 3
    seam.count = 8
    other = shared.view()
    assert other.count == 8
    asked(other, "b", 1)
    assert len(seam.at_once) == 10


def test_one_study_ends_alone(seam, shared):
    first, second = shared.view(), shared.view()
    ended, others = asked(first, "a", 5), asked(second, "b", 5)
    first.close()
    for answer in ended:
        with pytest.raises(WorkerLost, match=r"^the study has ended$"):
            answer.result(0)
    assert [name for name, answer in seam.answers.items() if answer.cancelled()] == ["a0", "a1", "a2"]
    while seam.at_once:
        seam.answer(seam.at_once[0])
    assert [answer.result(0)["name"] for answer in others] == [f"b{place}" for place in range(5)]
    assert seam.handed == ["a0", "a1", "a2", *(f"b{place}" for place in range(5))]
    assert seam.closed == 0
    with pytest.raises(WorkerLost, match=r"^the study has ended$"):
        asked(first, "a", 1)[0].result(0)


def test_what_is_cancelled_is_not_handed_over(seam, shared):
    study = shared.view()
    answers = asked(study, "a", 6)
    assert answers[1].cancel()  # at the engine
    assert answers[4].cancel()  # waits
    assert seam.answers["a1"].cancelled()
    while seam.at_once:
        seam.answer(seam.at_once[0])
    assert seam.handed == ["a0", "a1", "a2", "a3", "a5"]
    assert [answer.cancelled() for answer in answers] == [False, True, False, False, True, False]


@pytest.mark.parametrize(
    "error",
    [WorkerLost("the process was ended by SIGKILL"), QuantlabError("refused"), ValueError("surprise")],
    ids=["a lost worker", "a refusal", "an error that nobody expected"],
)
def test_an_error_is_that_of_its_task(seam, shared, error):
    first, second = shared.view(), shared.view()
    lost, kept = asked(first, "a", 2), asked(second, "b", 1)
    seam.answers["a0"].set_exception(error)
    seam.answer("a1")
    seam.answer("b0")
    assert lost[0].exception(0) is error
    assert [answer.result(0)["name"] for answer in (lost[1], *kept)] == ["a1", "b0"]


def test_what_the_engine_cancels_is_lost(seam, shared):
    (answer,) = asked(shared.view(), "a", 1)
    seam.answers["a0"].cancel()
    with pytest.raises(WorkerLost, match=r"^the engine has dropped the task$"):
        answer.result(0)


class Refusing:
    """Workers of a cluster that is gone: each answer is there at once, and nobody knows their number."""

    @property
    def count(self) -> int:
        raise OSError("no connection")

    def submit(self, function: str, document: Document) -> "Future[Document]":  # noqa: ARG002 (the protocol's names)
        answer: Future[Document] = Future()
        answer.set_exception(WorkerLost("the scheduler was not reached"))
        return answer

    def close(self) -> None:
        """Do nothing."""


def test_very_many_answers_at_once_are_no_recursion():
    answers = asked(SharedWorkers(Refusing()).view(), "a", 5000)
    assert all(isinstance(answer.exception(0), WorkerLost) for answer in answers)


class Surprised(Refusing):
    """Workers whose engine raises what no engine should."""

    def submit(self, function: str, document: Document) -> "Future[Document]":
        raise ValueError(f"{function} with {document['name']}")


def test_what_cannot_be_handed_over_is_lost_and_takes_no_place():
    for answer in asked(SharedWorkers(Surprised()).view(), "a", 5):
        with pytest.raises(WorkerLost, match=r"^the engine was not reached \(ValueError: module:function with a\d\)$"):
            answer.result(0)


def test_answers_in_threads_lose_nothing(seam, shared):
    answers = [answer for place in range(4) for answer in asked(shared.view(), f"{place}x", 50)]
    while not all(answer.done() for answer in answers):
        threads = [threading.Thread(target=seam.answer, args=(name,)) for name in seam.at_once]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answer.result(0)["name"] for answer in answers) == sorted(seam.handed)
    assert len(seam.handed) == 200


# The engines of a batch


def engine(started: list[EngineRequest], make: Callable[[], Workers]) -> Engine:
    def start(request: EngineRequest) -> Workers:
        started.append(request)
        return make()

    return Engine("seam", "workers of a test", start)


def test_workers_are_started_once_when_they_are_first_needed(tmp_path):
    started: list[EngineRequest] = []
    seams = [Seam(), Seam()]
    left = iter(seams)
    request = EngineRequest(None, 2, tmp_path / "first.study")
    with shared_engines({"seam": engine(started, lambda: next(left))}) as engines:
        assert started == []
        first = engines["seam"].start(request)
        second = engines["seam"].start(replace(request, work=tmp_path / "second.study"))
        other = engines["seam"].start(replace(request, workers=3))
        assert [(one.address, one.workers) for one in started] == [(None, 2), (None, 3)]
        assert all(Path(one.work).is_dir() for one in started)
        assert not {tmp_path / "first.study", tmp_path / "second.study"} & {one.work for one in started}
        for study, name in ((first, "a"), (second, "b"), (other, "c")):
            asked(study, name, 1)
        first.close()
        second.close()
        assert [seam.closed for seam in seams] == [0, 0]
        asked(engines["seam"].start(request), "d", 1)
        assert [seam.handed for seam in seams] == [["a0", "b0", "d0"], ["c0"]]
    assert [seam.closed for seam in seams] == [1, 1]
    assert not any(Path(one.work).exists() for one in started)


def test_an_engine_that_cannot_be_started_is_asked_once(tmp_path):
    started: list[EngineRequest] = []

    def absent() -> Workers:
        raise RuntimeUnavailable("no scheduler answers at 'tcp://other:8786'; start one")

    with shared_engines({"seam": engine(started, absent)}) as engines:
        for _ in range(3):
            with pytest.raises(RuntimeUnavailable, match=r"^no scheduler answers at 'tcp://other:8786'; start one$"):
                engines["seam"].start(EngineRequest("tcp://other:8786", None, tmp_path))
    assert len(started) == 1


def test_workers_are_released_when_the_batch_is_stopped(tmp_path):
    seam, answers = Seam(), []

    def stopped() -> None:
        with shared_engines({"seam": engine([], lambda: seam)}) as engines:
            answers.extend(asked(engines["seam"].start(EngineRequest(None, 2, tmp_path)), "a", 1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert seam.closed == 1
    with pytest.raises(WorkerLost, match=r"^the study has ended$"):
        answers[0].result(0)
