"""Arrays with a dimension too few or too many."""

from collections.abc import Iterator

from quantlab.study.attempts.contract import Array, Attempt, RightInputs, fed, shape_text

__all__ = ["ranks"]


def ranks(right: RightInputs) -> Iterator[Attempt]:
    """Yield a call for each dimension that is commonly forgotten or added; the numbers are the right ones."""
    unit = tuple(values[: right.unit] for values in right.arrays)

    def attempt(words: str, arrays: tuple[Array, ...]) -> Attempt:
        return Attempt(f"{words}: {shape_text(arrays)}", fed(right, arrays), unit)

    if right.unit == 1:
        yield attempt("no batch dimension", tuple(values[0] for values in unit))
    yield attempt("a second batch dimension", tuple(values[None] for values in unit))
    if any(values.ndim > 2 for values in unit):
        flat = tuple(values.reshape(len(values), -1) for values in unit)
        yield attempt("flattened samples", flat)
    if any(values.ndim > 2 and values.shape[-1] == 1 for values in unit):
        squeezed = tuple(values[..., 0] if values.ndim > 2 and values.shape[-1] == 1 else values for values in unit)
        yield attempt("no last dimension of 1", squeezed)
    yield attempt("one more dimension at the end", tuple(values[..., None] for values in unit))
