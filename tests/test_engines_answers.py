"""What a cluster's worker answers reaches whoever waits, and so does why it does not."""

from concurrent.futures import Future

import pytest

from quantlab.engines import WorkerLost
from quantlab.engines.answers import not_sent, pass_on
from quantlab.errors import QuantlabError


class TracedError(QuantlabError):
    """As Ray makes of an error in a worker: of the same class, with the traceback as its text."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("Traceback (most recent call last): …")
        self.cause = cause


def told(error: BaseException) -> Exception:
    return WorkerLost(f"lost by {type(error).__name__}")


def raising(error: BaseException):
    def ask():
        raise error

    return ask


@pytest.mark.parametrize(
    ("ask", "kind", "message"),
    [
        pytest.param(raising(QuantlabError("no room")), QuantlabError, "no room", id="the function's own error"),
        pytest.param(raising(TracedError(QuantlabError("no room"))), QuantlabError, "no room", id="a wrapped one"),
        pytest.param(raising(OSError("gone")), WorkerLost, "lost by OSError", id="the cluster's error"),
        pytest.param(raising(KeyboardInterrupt()), WorkerLost, "lost by KeyboardInterrupt", id="an interruption"),
    ],
)
def test_errors(ask, kind, message):
    answer = Future()
    pass_on(answer, ask, told)
    error = answer.exception(0)
    assert (type(error), str(error)) == (kind, message)


def test_an_answer_and_a_cancelled_one():
    answer, cancelled = Future(), Future()
    pass_on(answer, lambda: {"shard": 1}, told)
    assert answer.result(0) == {"shard": 1}
    cancelled.cancel()
    pass_on(cancelled, lambda: {"shard": 1}, told)
    assert cancelled.cancelled()


def test_a_document_that_was_not_sent():
    error = not_sent(Future(), "the scheduler", OSError("closed")).exception(0)
    assert (type(error), str(error)) == (WorkerLost, "the scheduler was not reached (OSError: closed)")
