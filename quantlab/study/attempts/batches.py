"""Batches of other sizes than the one for which an artifact was made."""

from collections.abc import Iterator

from quantlab.study.attempts.contract import Attempt, RightInputs, fed, shape_text

__all__ = ["batches"]


def batches(right: RightInputs) -> Iterator[Attempt]:
    """One sample, some, all, and none; the right call of a file with a fixed batch is that batch."""
    for count in dict.fromkeys((1, right.n - right.unit, right.n)):
        if 0 < count <= right.n:
            whole = -(-count // right.unit) * right.unit
            arrays = tuple(values[:count] for values in right.arrays)
            words = "one sample" if count == 1 else f"a batch of {count}"
            if count == whole:
                yield Attempt(f"{words}: {shape_text(arrays)}", fed(right, arrays), arrays)
    if right.unit > 1:
        arrays = tuple(values[:1] for values in right.arrays)
        unit = tuple(values[: right.unit] for values in right.arrays)
        yield Attempt(f"one sample: {shape_text(arrays)}", fed(right, arrays), unit)
    none = tuple(values[:0] for values in right.arrays)
    yield Attempt(f"an empty batch: {shape_text(none)}", fed(right, none), none)
