"""Scores from values of single samples are those of the outputs, bit by bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quantlab.errors import UsageError
from quantlab.statistics import CandidateSamples, ReferenceSamples, reference_sums, sum_outputs, sum_samples

KINDS = ("ten probabilities", "three probabilities", "logits", "one probability", "one logit")
SPOILED = (np.nan, np.inf, -np.inf)


def outputs_of(kind: str, random: np.random.Generator, n: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of a model and of a variant of it, some of whose probabilities are 0."""
    classes = {"ten probabilities": 10, "three probabilities": 3, "logits": 12}.get(kind, 1)
    scores = random.normal(0, 3, (n, classes))
    other = scores + random.normal(0, 1, scores.shape)
    if kind == "one probability":
        scores, other = (1 / (1 + np.exp(-one)) for one in (scores, other))
    elif "probabilities" in kind:
        scores, other = (np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in (scores, other))
        other = np.round(other * 64) / 64
    return scores.astype(dtype), other.astype(dtype)


@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(1, 40),
    dtype=st.sampled_from(["float32", "float64", "float16"]),
    labelled=st.booleans(),
    spoiled=st.sampled_from([None, *SPOILED]),
    seed=st.integers(0, 2**16),
)
@example(kind="ten probabilities", n=60_000, dtype="float32", labelled=True, spoiled=None, seed=0)
@example(kind="logits", n=60_000, dtype="float32", labelled=True, spoiled=np.nan, seed=0)
def test_every_number_is_that_of_the_outputs(
    kind: str, n: int, dtype: str, labelled: bool, spoiled: float | None, seed: int
) -> None:
    random = np.random.default_rng(seed)
    expected, actual = outputs_of(kind, random, n, dtype)
    if spoiled is not None:
        actual[random.integers(n), random.integers(actual.shape[1])] = spoiled
    labels = random.integers(0, max(2, expected.shape[1]), n) if labelled else None
    task = "classification" if labelled else "similarity"
    how = {"task": task, "probabilities": "logit" not in kind, "classes": True}
    reference = ReferenceSamples.of(expected, labels, **how)

    known = sum_samples(reference, CandidateSamples.of(reference, actual))

    sums = sum_outputs(expected, actual, labels, **how)
    assert repr(known) == repr(sums)  # NaN equals itself there, and −0 is not 0
    assert repr(known.scores()) == repr(sums.scores())
    assert repr(reference_sums(reference).reference_scores()) == repr(sums.reference_scores())


def test_samples_without_classes_are_refused() -> None:
    values = np.ones((3, 2))
    reference = ReferenceSamples.of(values, None, task="similarity", probabilities=False, classes=False)

    with pytest.raises(ValueError, match="the samples have no classes; sum their outputs with sum_outputs"):
        sum_samples(reference, CandidateSamples.of(reference, values))
    with pytest.raises(ValueError, match="the samples have no classes; sum their outputs with sum_outputs"):
        reference_sums(reference)


def test_kept_values_without_outputs_are_refused() -> None:
    values = np.full((3, 2), 0.5)
    reference = ReferenceSamples.of(values, None, task="similarity", probabilities=True, classes=True)
    candidate = CandidateSamples.of(reference, values)

    with pytest.raises(UsageError, match="computed from whole outputs"):
        sum_samples(replace(reference, whole=None), candidate)
