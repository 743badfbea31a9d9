"""Processes some items at a time, so that this process works on one while a child works on another."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["side_by_side"]

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
        return list(pool.map(work, items))
    except BaseException as error:
        if not isinstance(error, Exception):
            stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
