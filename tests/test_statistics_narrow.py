"""Reductions of tables with few columns have the bits of NumPy's own, for every layout and every value."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quantlab.statistics import narrow

SPECIAL = (np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 5e-324, 1e308)
LAYOUTS = {
    "rows": lambda values: values,
    "columns": np.asfortranarray,
    "every other row": lambda values: np.repeat(values, 2, axis=0)[::2],
    "every other column": lambda values: np.repeat(values, 2, axis=1)[:, ::2],
}
DTYPES = ("float16", "float32", "float64", ">f8", "int8", "uint8", "int64", "bool")


def bits(values):
    """Bytes rather than numbers, because −0 equals 0 and NaN equals nothing."""
    return (values.dtype, values.shape, values.tobytes())


def drawn(shape, dtype, special, seed):
    """Random values of many magnitudes, of which some are taken from `special`."""
    random = np.random.default_rng(seed)
    with np.errstate(over="ignore", invalid="ignore"):
        values = random.standard_normal(shape) * np.exp2(random.integers(-30, 30, shape))
        if special:
            chosen = random.random(shape) < random.choice([0.02, 0.5, 1.0])
            values[chosen] = random.choice(special, np.count_nonzero(chosen))
        return (values if np.dtype(dtype).kind == "f" else np.clip(np.nan_to_num(values), 0, 127)).astype(dtype)


rows_of_table = st.integers(0, 60) | st.integers(250, 1500)
columns_of_table = st.integers(1, 12) | st.integers(30, 34) | st.integers(250, 300)
tables = st.builds(
    lambda n, columns, dtype, special, layout, seed: LAYOUTS[layout](drawn((n, columns), dtype, special, seed)),
    rows_of_table,
    columns_of_table,
    st.sampled_from(DTYPES),
    st.lists(st.sampled_from(SPECIAL), max_size=4),
    st.sampled_from(sorted(LAYOUTS)),
    st.integers(0, 2**32 - 1),
)
floats = tables.filter(lambda values: values.dtype.kind == "f")
flags = tables.map(lambda values: values > 0)


@given(tables)
def test_extremes_of_rows(values):
    assert bits(narrow.row_max(values)) == bits(values.max(axis=1))
    assert bits(narrow.row_min(values)) == bits(values.min(axis=1))


@given(floats, st.sampled_from((0.0, -0.0, 1.5)))
@example(np.zeros((3, 0)), 0.0)
def test_extremes_of_rows_with_a_limit(values, initial):
    # Of 0 and −0, NumPy itself takes one or the other, depending on where arrays lie in memory: + 0 makes both 0.
    assert bits(narrow.row_max(values, initial=initial) + 0.0) == bits(values.max(axis=1, initial=initial) + 0.0)
    assert bits(narrow.row_min(values, initial=initial) + 0.0) == bits(values.min(axis=1, initial=initial) + 0.0)


@given(tables.filter(len))
def test_extremes_of_columns(values):
    assert bits(narrow.column_max(values)) == bits(values.max(axis=0))
    assert bits(narrow.column_min(values)) == bits(values.min(axis=0))


@given(floats)
@example(np.full((5, 3), -0.0))
@example(np.array([[np.inf, 1.0], [-np.inf, 2.0]]))
def test_sums_of_columns(values):
    with np.errstate(over="ignore", invalid="ignore"):
        assert bits(narrow.column_sums(values)) == bits(values.sum(axis=0))


@given(tables)
def test_rows_that_hold_something(values):
    assert bits(narrow.rows_with_nan(values)) == bits(np.isnan(values).any(axis=1))
    assert bits(narrow.finite_rows(values)) == bits(np.isfinite(values).all(axis=1))
    assert bits(narrow.negative_rows(values)) == bits(values.min(axis=1) < 0)


@given(st.sampled_from(DTYPES), st.lists(st.sampled_from(SPECIAL), max_size=3), st.integers(0, 2**32 - 1))
def test_nan_along_the_last_of_several_axes(dtype, special, seed):
    for shape in ((3, 4, 5), (7,), (2, 0, 3)):
        values = drawn(shape, dtype, special, seed)
        assert bits(np.asarray(narrow.rows_with_nan(values))) == bits(np.asarray(np.isnan(values).any(axis=-1)))


@given(flags)
@example(np.ones((70_000, 3), np.bool_))
@example(np.ones((4, 300), np.bool_))
@example(np.zeros((4, 0), np.bool_))
def test_counts(flags):
    assert bits(narrow.count_in_rows(flags)) == bits(np.count_nonzero(flags, axis=1))
    assert bits(narrow.count_in_columns(flags)) == bits(np.count_nonzero(flags, axis=0))


@pytest.mark.parametrize("reduce", [narrow.row_max, narrow.row_min, narrow.column_max, narrow.column_min])
def test_nothing_has_no_extreme(reduce):
    empty = np.zeros((4, 0) if reduce in (narrow.row_max, narrow.row_min) else (0, 4))
    with pytest.raises(ValueError, match="zero-size array"):
        reduce(empty)
