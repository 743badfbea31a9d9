"""Processes some items at a time, so that this process works on one while a child works on another."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from quantlab.processes import LONGEST_WAIT_SECONDS

__all__ = ["first_done", "result_of", "side_by_side"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 2
"""Number of threads; children do most of the work, and CI machines have two cores."""


def side_by_side(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    at_once: int = _AT_ONCE,
    stop: Callable[[], None] = lambda: None,
) -> list[Result]:
    """Return the result of `work` for each item, in order.

    Args:
        work: Called in threads. If it raises, items that have not started are skipped.
        items: The arguments, one per call.
        at_once: Number of threads; more than cores if they mostly wait.
        stop: Called on Ctrl-C and other interruptions. It must end whatever `work` waits for, because all threads are
            joined before this function returns.

    >>> side_by_side(len, ["a", "bc"])
    [1, 2]
    """
    pool = ThreadPoolExecutor(at_once)
    try:
        return [result_of(future) for future in [pool.submit(work, item) for item in items]]
    except BaseException as error:
        if not isinstance(error, Exception):
            stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def first_done(futures: Collection[Future[Result]]) -> tuple[set[Future[Result]], set[Future[Result]]]:
    """Wait until at least one is done, and return those that are done and those that are not.

    It waits in steps, so that Ctrl-C is noticed; see `LONGEST_WAIT_SECONDS`.
    """
    while True:
        done, waiting = wait(futures, timeout=LONGEST_WAIT_SECONDS, return_when=FIRST_COMPLETED)
        if done:
            return done, waiting


def result_of(future: Future[Result]) -> Result:
    """The result of a future, waited for like in `first_done`."""
    first_done([future])
    return future.result()
