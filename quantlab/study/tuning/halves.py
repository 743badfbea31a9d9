"""Which weights besides kernels become half floats: those whose rounding hardly shows in the output.

All of them are measured together first. Only if their error is too large, they are parted in two again and again, until
the weights are found that half floats spoil: a scale of 1e-9 becomes 0, and a mean of 50,001 becomes 50,016.
"""

from collections.abc import Callable, Mapping, Sequence

from quantlab.study.tuning.acceptance import Goal, Measured, figure_of
from quantlab.study.tuning.allocation import Way
from quantlab.types import KernelChoice

__all__ = ["Groups", "allowed_error", "harmless"]

_LITTLE = 0.05
"""Share of an error that keeps the budget, up to which half floats may make one."""

Groups = Sequence[tuple[str, ...]]
"""Names of weights that are half floats together."""


def harmless(
    sizes: Mapping[str, int], errors_of: Callable[[Groups], Sequence[float | None]], allowed: float
) -> tuple[str, ...]:
    """The weights that become half floats, in their order.

    A group of them may make an error in proportion to its values, so that all that are chosen make no larger error than
    is allowed, if single errors add up. One weight in a hundred that must stay takes about 14 measurements.

    Args:
        sizes: Weight → number of its values, above 0.
        errors_of: Gives the error of the output for each group of weights that alone are half floats; infinite if an
            output is not finite, None if there is no time to measure it. Then the group stays in float32.
        allowed: The error that all of them may make; 0 or more.
    """
    chosen = set[str]()
    groups: Groups = [tuple(sizes)] if sizes else []
    whole = sum(sizes.values())
    while groups:
        parts: list[tuple[str, ...]] = []
        for group, error in zip(groups, errors_of(groups), strict=True):
            if error is None:
                continue
            if error <= allowed * sum(sizes[name] for name in group) / whole:
                chosen.update(group)
            elif len(group) > 1:
                middle = len(group) // 2
                parts += [group[:middle], group[middle:]]
        groups = parts
    return tuple(name for name in sizes if name in chosen)


def allowed_error(
    ways: Mapping[str, Sequence[tuple[KernelChoice | None, Way]]], goal: Goal, measured: Sequence[Measured]
) -> float:
    """The error that half floats may make.

    It is the one that is expected of all kernels in codes of as many bits as possible, or a little of the largest one
    that was measured and keeps the budget, if that is more.

    Args:
        ways: Kernel → how it may be stored, and the errors that are expected of it.
        goal: The budget.
        measured: What was measured so far.
    """
    precise = sum(min((way.error for choice, way in each if choice is not None), default=0.0) for each in ways.values())
    figure, keeping = figure_of(measured), {one.name for one in goal.judged(measured) if one.keeps}
    return max([precise, *(_LITTLE * figure(one) for one in measured if one.name in keeping)])
