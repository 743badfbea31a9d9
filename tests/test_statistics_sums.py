"""The law that holds for every sum: the parts of any partition add up to the whole."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.statistics import (
    ClassificationSums,
    DivergenceSums,
    ProbabilitySums,
    RegressionSums,
    ScoreSums,
    Sums,
    TensorError,
)

SAMPLES, CLASSES = 40, 12


def logits(seed, *, spoiled=True):
    """Logits of a pair of models, with ties, zeros and, if spoiled, a NaN or infinity in some rows."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(2, SAMPLES, CLASSES)).round(1).astype(np.float32)
    if spoiled:
        for value in (np.nan, np.inf, -np.inf):
            values[random.integers(2), random.integers(SAMPLES), random.integers(CLASSES)] = value
    return values


def labels(seed):
    return np.random.default_rng(seed).integers(0, CLASSES, SAMPLES)


def add_up(parts, zero):
    return sum(parts, zero)


SUMS = {
    "tensor error": lambda x, y, _: TensorError.of(x, y),
    "classification": ClassificationSums.of,
    "agreement alone": lambda x, y, _: ClassificationSums.of(x, y, None),
    "divergence of logits": lambda x, y, _: DivergenceSums.of(x, y, probabilities=False),
    "divergence of probabilities": lambda x, y, _: DivergenceSums.of(x**2, y**2, probabilities=True),
    "regression": lambda x, y, labels: RegressionSums.of(x[:, 0], y[:, 0], labels),
    "probabilities": lambda x, _, __: ProbabilitySums.of(abs(x)),
    "scores": lambda x, y, labels: ScoreSums.of(x, y, labels, task="classification", probabilities=False, classes=True),
}


def leaves(sums, prefix=""):
    """Every number of a sum by its name, those of sums within it too."""
    for attribute in dataclasses.fields(sums):
        value = getattr(sums, attribute.name)
        if isinstance(value, Sums):
            yield from leaves(value, f"{prefix}{attribute.name}.")
        else:
            yield f"{prefix}{attribute.name}", value


def assert_same(parts, whole):
    for (name, part), (_, total) in zip(leaves(parts), leaves(whole), strict=True):
        if isinstance(total, int):
            assert part == total, name
        else:
            # The signed sum cancels: its rounding is relative to what was added, some hundred numbers of order 1.
            assert part == pytest.approx(total, rel=1e-12, abs=1e-12), name


@pytest.mark.parametrize("of", SUMS.values(), ids=SUMS.keys())
@given(
    seed=st.integers(0, 2**32 - 1),
    spoiled=st.booleans(),
    cuts=st.lists(st.integers(0, SAMPLES), max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_parts_of_any_partition_add_up_to_the_whole(of, seed, spoiled, cuts, order):
    (x, y), truth = logits(seed, spoiled=spoiled), labels(seed)
    edges = [0, *sorted(cuts), SAMPLES]
    slices = [slice(*edge) for edge in itertools.pairwise(edges)]
    order.shuffle(slices)
    whole = of(x, y, truth)
    assert_same(add_up((of(x[part], y[part], truth[part]) for part in slices), type(whole)()), whole)


@pytest.mark.parametrize("of", SUMS.values(), ids=SUMS.keys())
def test_zero_changes_nothing(of):
    sums = of(*logits(0), labels(0))
    zero = type(sums)()
    assert sums + zero == zero + sums == sums
    assert sums != zero


def test_sums_of_two_kinds_do_not_add():
    with pytest.raises(TypeError, match="unsupported operand type"):
        TensorError() + DivergenceSums()


def test_memory_is_flat():
    """A sum holds a fixed number of numbers, however many samples went in."""
    many = ScoreSums.of(*logits(0), labels(0), task="classification", probabilities=False, classes=True)
    assert len(list(leaves(many))) == len(list(leaves(ScoreSums())))
    assert all(isinstance(value, int | float) for _, value in leaves(many))


def test_float32_is_summed_in_float64():
    """A float32 accumulator stops at 2²⁴ when ones are added to it."""
    parts = [TensorError(count=2**24, sum_abs_error=float(2**24)), TensorError.of(np.zeros(1), np.ones(1, np.float32))]
    assert add_up(parts, TensorError()).sum_abs_error == 2**24 + 1
    tenth = np.full(10**6, 0.1, np.float32)
    error = TensorError.of(np.zeros_like(tenth), tenth)
    exact = float(np.float32(0.1))
    assert error.mean_abs == pytest.approx(exact, rel=1e-12)
    assert error.rms == pytest.approx(math.sqrt(exact**2), rel=1e-12)
