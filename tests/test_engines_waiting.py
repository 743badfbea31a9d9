"""Which worker takes which of the documents that wait."""

import threading
from concurrent.futures import Future

import pytest

from quantlab.engines.waiting import Asked, Waiting


def asked(name: str) -> Asked:
    """A document `a1` has the affinity `a`, and `1` has none."""
    affinity = name.rstrip("0123456789")
    return Asked("function", {"name": name, **({"affinity": affinity} if affinity else {})}, Future())


@pytest.mark.parametrize(
    ("documents", "workers", "taken"),
    [
        pytest.param("1 2 3", (0, 1, 0), "1 2 3", id="without affinity in order"),
        pytest.param("a1 a2 b1 b2", (0, 0, 0, 0), "a1 a2 b1 b2", id="one worker in order"),
        pytest.param("a1 b1 a2 b2", (0, 0, 0, 0), "a1 a2 b1 b2", id="one worker takes what it has open first"),
        pytest.param("a1 a2 b1 b2", (0, 1, 1, 0), "a1 b1 b2 a2", id="two workers open one each"),
        pytest.param("a1 a2 a3", (0, 1, 0), "a1 a2 a3", id="what another has open, if there is nothing else"),
        pytest.param("a1 a2 b1 c1", (0, 1, 1, 1), "a1 b1 c1 a2", id="helps another last"),
    ],
)
def test_the_order(documents, workers, taken):
    waiting = Waiting(2)
    for name in documents.split():
        waiting.put(asked(name))
    names = [one.document["name"] for one in map(waiting.take, workers) if one is not None]
    assert " ".join(names) == taken
    assert [one.document["name"] for one in waiting.close()] == [
        name for name in documents.split() if name not in names
    ]


def test_who_waits_is_told_of_a_document_and_of_the_end():
    waiting, taken = Waiting(1), []

    def work() -> None:
        while (one := waiting.take(0)) is not None:
            taken.append(one)

    worker = threading.Thread(target=work)
    worker.start()
    document = asked("a1")
    waiting.put(document)
    while not taken:
        worker.join(0.01)
    waiting.close()
    worker.join(60)
    assert not worker.is_alive()
    assert taken == [document]
    assert waiting.take(0) is None
