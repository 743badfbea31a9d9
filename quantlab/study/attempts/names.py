"""The ways to pass inputs: in a dictionary or in a list, under a wrong name, in another order, one missing."""

from collections.abc import Iterator

from quantlab.study.attempts.contract import Attempt, Feed, RightInputs, fed

__all__ = ["names"]


def names(right: RightInputs) -> Iterator[Attempt]:
    """Yield each way; the arrays are the right ones."""
    unit = tuple(values[: right.unit] for values in right.arrays)
    feeds = fed(right, unit)
    listed = ", ".join(f"'{feed.name}'" for feed in feeds)
    yield Attempt(f"a dictionary: {listed}", feeds, unit, "by name")
    yield Attempt("in order, without names", feeds, unit, "in order")
    wrong = (Feed(f"{feeds[0].name}_0", feeds[0].values), *feeds[1:])
    yield Attempt(f"a dictionary with '{wrong[0].name}'", wrong, unit, "by name")
    more = (*feeds, Feed("unknown", feeds[0].values))
    yield Attempt("a dictionary with one input more, 'unknown'", more, unit, "by name")
    if len(feeds) > 1:
        yield Attempt("in reverse order, without names", feeds[::-1], unit, "in order")
        yield Attempt(f"a dictionary without '{feeds[-1].name}'", feeds[:-1], unit, "by name")
