"""Rows and columns are swapped."""

from collections.abc import Callable, Iterator

from quantlab.conventions.contract import Array, InputConvention, InputFacts, InputFamily

__all__ = ["TRANSPOSED"]

_NAME = "transposed"


def _conventions(facts: InputFacts) -> Iterator[InputConvention]:
    shape = facts.shape
    if len(shape) not in (2, 3):
        return
    # The channels are the shorter end: images are larger than their number of channels.
    first = 1 if len(shape) == 3 and shape[0] < shape[-1] else 0
    rows, columns = shape[first], shape[first + 1]
    if 1 in (rows, columns):
        return
    axes = list(range(len(shape) + 1))
    axes[first + 1], axes[first + 2] = axes[first + 2], axes[first + 1]
    swapped = (*shape[:first], columns, rows, *shape[first + 2 :])
    how = f"numpy.transpose(x, {tuple(axes)})"
    yield InputConvention(
        _NAME,
        "rows ↔ columns",
        "rows and columns of the samples are swapped",
        f"transpose them with {how}" if rows == columns else f"transpose them with {how} instead of reshape",
        _transposed(swapped, axes),
    )


def _transposed(shape: tuple[int, ...], axes: list[int]) -> Callable[[Array], Array]:
    return lambda values: values.reshape(-1, *shape).transpose(axes)


TRANSPOSED = InputFamily(_NAME, _conventions)
