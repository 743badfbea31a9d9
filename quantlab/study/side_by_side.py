"""Does the same with several things, two at a time: while a child works on one, we work on another."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["side_by_side"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 2
"""Threads: most of the work is done by children, and machines of a CI have two cores."""


def side_by_side(
    work: Callable[[Item], Result], items: Sequence[Item], *, stop: Callable[[], None] = lambda: None
) -> list[Result]:
    """What `work` gives for each item, in their order.

    Args:
        work: Called in threads; what it raises for one item ends the others that have not begun.
        items: What it is called with.
        stop: Called on Ctrl-C and the like, and must end what `work` may wait for: threads are waited for even then,
            so that nothing goes on when this has been left.

    >>> side_by_side(len, ["a", "bc"])
    [1, 2]
    """
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        return list(pool.map(work, items))
    except BaseException as error:
        if not isinstance(error, Exception):
            stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
