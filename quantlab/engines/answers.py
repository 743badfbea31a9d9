"""Passes the answer of a cluster's worker on to whoever waits for it: what adapters of clusters share."""

from collections.abc import Callable
from concurrent.futures import Future

from quantlab.engines.contract import WorkerLost
from quantlab.errors import QuantlabError
from quantlab.processes import Document, describe

__all__ = ["not_sent", "pass_on"]


def pass_on(
    answer: "Future[Document]", ask: Callable[[], Document], told: Callable[[BaseException], Exception]
) -> None:
    """Give a future what a cluster's own future holds, unless it is cancelled.

    Args:
        answer: What was returned by `Workers.submit`.
        ask: Returns the document, or raises what the cluster tells; it does not wait.
        told: Says what an exception of the cluster means; those that the worker's function raised stay as they are.
    """
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(ask())
    except BaseException as error:  # noqa: BLE001 (whatever it is, the thread that waits must be told)
        raised = getattr(error, "cause", error)  # Ray's error is of the same class, and has the traceback as its text
        answer.set_exception(raised if isinstance(raised, QuantlabError) else told(error))


def not_sent(answer: "Future[Document]", who: str, error: Exception) -> "Future[Document]":
    """The future, with the reason why its document was not sent."""
    answer.set_exception(WorkerLost(f"{who} was not reached ({describe(error)})"))
    return answer
