"""Does the same with several things, two at a time: while a child works on one, we work on another."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["side_by_side"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 2
"""As many as there are cores on a usual machine of a CI; children bring their own work."""


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What `work` gives for each item, in their order.

    Stopped by Ctrl-C it waits for nobody: what is under way ends with the study's children.

    >>> side_by_side(len, ["a", "bc"])
    [1, 2]
    """
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        results = list(pool.map(work, items))
    except BaseException as error:
        pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
        raise
    pool.shutdown()
    return results
