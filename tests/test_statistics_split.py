"""The split of the loss: parts that add up, missing stages, and trials without a split."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quantlab.statistics import SplitSums, StepSums, split_points
from quantlab.types import SplitRow

NAN, INF = math.nan, math.inf
PARTS = ("conversion", "quantization", "runtime_part")

outputs = arrays.array_shapes(min_dims=1, max_dims=3, max_side=6).flatmap(
    lambda shape: st.tuples(
        *(arrays.arrays(np.float32, shape, elements=st.floats(-100, 100, width=32)) for _ in range(4))
    )
)
losses = st.floats(-1e6, 1e6)


def parts(row):
    return [getattr(row, name) for name in PARTS]


def rms(values):
    return math.sqrt(math.fsum(float(value) ** 2 for value in values.flat) / values.size)


@given(outputs)
def test_the_parts_of_the_rms_add_up(stages):
    row = SplitSums.of(*stages).row("tfjs-uint8", "node-wasm")
    assume(row.reason is None)
    assert math.fsum(parts(row)) == pytest.approx(row.total, rel=1e-12, abs=1e-12 * max(map(abs, parts(row))))


@given(outputs)
def test_the_parts_of_the_rms_are_projections(stages):
    row = SplitSums.of(*stages).row("tfjs-uint8", "node-wasm")
    stages = [stage.astype(np.float64) for stage in stages]
    steps = [after - before for before, after in itertools.pairwise(stages)]
    whole = stages[-1] - stages[0]
    assert [row.conversion_rms, row.quantization_rms, row.runtime_rms] == pytest.approx([rms(step) for step in steps])
    assert row.total == pytest.approx(rms(whole))
    if rms(whole):
        assert parts(row) == pytest.approx([np.mean(step * whole) / rms(whole) for step in steps], rel=1e-9, abs=1e-9)


@given(losses, losses, losses)
def test_the_parts_of_points_add_up(float32, python, runtime):
    row = split_points("s", "r", float32_python=float32, candidate_python=python, candidate_runtime=runtime)
    scale = max(map(abs, (float32, python, runtime)))
    assert math.fsum(parts(row)) == pytest.approx(row.total, rel=1e-12, abs=1e-12 * scale)


@given(outputs, st.lists(st.integers(0, 6), max_size=4))
def test_batches_add_up_to_the_whole(stages, cuts):
    edges = [0, *sorted(min(cut, len(stages[0])) for cut in cuts), len(stages[0])]
    batches = (SplitSums.of(*(stage[slice(*edge)] for stage in stages)) for edge in itertools.pairwise(edges))
    added, whole = sum(batches, SplitSums()), SplitSums.of(*stages)
    assert (added.count, added.non_finite, added.missing) == (whole.count, whole.non_finite, whole.missing)
    assert added.sum_square == pytest.approx(whole.sum_square, rel=1e-12)
    for name in ("conversion", "quantization", "runtime"):
        one, other = getattr(added, name), getattr(whole, name)
        assert one.sum_square == pytest.approx(other.sum_square, rel=1e-12)
        most = 1e-12 * math.sqrt(other.sum_square * whole.sum_square)
        assert one.sum_product == pytest.approx(other.sum_product, rel=1e-12, abs=most)


REFERENCE = np.array([[3.0, 4.0]])
CONVERTED, QUANTIZED, ELSEWHERE = np.array([[3.0, 5.0]]), np.array([[6.0, 5.0]]), np.array([[6.0, 8.0]])
ROOT2 = math.sqrt(2)


def rms_row(conversion, quantization, runtime_part, total, steps, reason=None):
    return SplitRow(
        "tfjs-uint8", "node-wasm", "rms", None, conversion, quantization, runtime_part, total, *steps, reason=reason
    )


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        pytest.param(
            (REFERENCE, CONVERTED, QUANTIZED, ELSEWHERE),
            # e = (3, 4), so RMS(e) = 5/√2; e₁ = (0, 1), e₂ = (3, 0), e₃ = (0, 3).
            rms_row(2 * ROOT2 / 5, 4.5 * ROOT2 / 5, 6 * ROOT2 / 5, 5 / ROOT2, (1 / ROOT2, 3 / ROOT2, 3 / ROOT2)),
            id="three steps at right angles or aslant",
        ),
        pytest.param(
            (REFERENCE, CONVERTED, CONVERTED, CONVERTED),
            rms_row(1 / ROOT2, 0.0, 0.0, 1 / ROOT2, (1 / ROOT2, 0.0, 0.0)),
            id="the float32 setting in python is conversion alone",
        ),
        pytest.param(
            (REFERENCE, REFERENCE + 2, REFERENCE + 1, REFERENCE + 1),
            rms_row(2.0, -1.0, 0.0, 1.0, (2.0, 1.0, 0.0)),
            id="a step that takes back what another brought is below zero",
        ),
        pytest.param(
            (REFERENCE,) * 4, rms_row(0.0, 0.0, 0.0, 0.0, (0.0, 0.0, 0.0)), id="nothing changes: every part is 0"
        ),
        pytest.param(
            (REFERENCE, REFERENCE + 2, REFERENCE, REFERENCE),
            rms_row(
                None,
                None,
                None,
                0.0,
                (2.0, 2.0, 0.0),
                "the errors of the steps cancel each other, so the total error is 0",
            ),
            id="steps that cancel exactly",
        ),
        pytest.param(
            (REFERENCE, None, QUANTIZED, ELSEWHERE),
            rms_row(
                None,
                None,
                6 * ROOT2 / 5,
                5 / ROOT2,
                (None, None, 3 / ROOT2),
                "the float32 variant in python could not be measured",
            ),
            id="without the float32 variant the runtime's part is left",
        ),
        pytest.param(
            (REFERENCE, CONVERTED, None, ELSEWHERE),
            rms_row(
                2 * ROOT2 / 5,
                None,
                None,
                5 / ROOT2,
                (1 / ROOT2, None, None),
                "the variant in python could not be measured",
            ),
            id="without the variant in python the conversion's part is left",
        ),
        pytest.param(
            (REFERENCE, CONVERTED, QUANTIZED, None),
            rms_row(
                None,
                None,
                None,
                None,
                (1 / ROOT2, 3 / ROOT2, None),
                "the variant in its runtime could not be measured",
            ),
            id="without the whole there are no parts, but the steps are there",
        ),
        pytest.param(
            (REFERENCE, None, None, None),
            rms_row(
                None,
                None,
                None,
                None,
                (None, None, None),
                "the float32 variant in python and the variant in python and the variant in its runtime "
                "could not be measured",
            ),
            id="nothing but the reference",
        ),
        pytest.param(
            (REFERENCE, CONVERTED, np.array([[NAN, INF]]), ELSEWHERE),
            rms_row(
                None,
                None,
                None,
                None,
                (None, None, None),
                "2 elements of the output are NaN or infinite at one of the stages",
            ),
            id="one stage that is not finite spoils all",
        ),
        pytest.param(
            (REFERENCE, REFERENCE, REFERENCE, REFERENCE * 1e200),
            rms_row(None, None, None, None, (None, None, None), "the squared errors exceed the range of float64"),
            id="float64 outputs whose squares overflow",
        ),
        pytest.param(
            (np.zeros((0, 2)),) * 4,
            rms_row(None, None, None, None, (None, None, None), "the output has no elements to compare"),
            id="no samples",
        ),
    ],
)
def test_split_of_the_rms(stages, expected):
    row = SplitSums.of(*stages).row("tfjs-uint8", "node-wasm")
    numbers = (*PARTS, "total", "conversion_rms", "quantization_rms", "runtime_rms")
    for name in numbers:
        assert getattr(row, name) == pytest.approx(getattr(expected, name), rel=1e-12), name
    labels = ("setting", "runtime", "measure", "preprocessing", "reason")
    assert [getattr(row, name) for name in labels] == [getattr(expected, name) for name in labels]


def test_what_is_missing_or_spoiled_in_one_batch_is_so_in_the_whole():
    good = SplitSums.of(*(REFERENCE,) * 4)
    missing = SplitSums.of(REFERENCE, None, REFERENCE, REFERENCE)
    spoiled = SplitSums.of(REFERENCE, REFERENCE, REFERENCE * NAN, REFERENCE)
    assert (good + missing).row("s", "r").reason == "the float32 variant in python could not be measured"
    assert (good + missing).row("s", "r").conversion is None
    assert (spoiled + good).row("s", "r") == spoiled.row("s", "r")
    assert good + SplitSums() == good


def test_sums():
    assert SplitSums.of(REFERENCE, CONVERTED, QUANTIZED, ELSEWHERE) == SplitSums(
        count=2,
        sum_square=25.0,
        conversion=StepSums(sum_square=1.0, sum_product=4.0),
        quantization=StepSums(sum_square=9.0, sum_product=9.0),
        runtime=StepSums(sum_square=9.0, sum_product=12.0),
    )


def points_row(conversion, quantization, runtime_part, total, reason=None):
    return SplitRow(
        "tflite-int8", "node-litert", "points", None, conversion, quantization, runtime_part, total, reason=reason
    )


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        pytest.param((0.25, 1.0, 0.75), points_row(0.25, 0.75, -0.25, 0.75), id="differences from stage to stage"),
        pytest.param((0.25, 0.25, 0.5), points_row(0.25, 0.0, 0.25, 0.5), id="the float32 setting is not quantized"),
        pytest.param((0.25, 1.0, 1.0), points_row(0.25, 0.75, 0.0, 1.0), id="in python the runtime changes nothing"),
        pytest.param((0.0, 0.0, 0.0), points_row(0.0, 0.0, 0.0, 0.0), id="no loss"),
        pytest.param(
            (None, 1.0, 0.75),
            points_row(None, None, -0.25, 0.75, "the float32 variant in python could not be measured"),
            id="without the float32 variant",
        ),
        pytest.param(
            (0.25, None, 0.75),
            points_row(0.25, None, None, 0.75, "the variant in python could not be measured"),
            id="without the variant in python",
        ),
        pytest.param(
            (0.25, 1.0, None),
            points_row(0.25, 0.75, None, None, "the variant in its runtime could not be measured"),
            id="without the whole",
        ),
        pytest.param(
            (0.25, NAN, INF),
            points_row(
                None,
                None,
                None,
                None,
                "the loss of the variant in python and of the variant in its runtime is NaN or infinite",
            ),
            id="losses that are no numbers",
        ),
    ],
)
def test_split_of_points(stages, expected):
    float32, python, runtime = stages
    row = split_points(
        "tflite-int8", "node-litert", float32_python=float32, candidate_python=python, candidate_runtime=runtime
    )
    assert row == expected


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        pytest.param(
            (REFERENCE, REFERENCE.T, REFERENCE, REFERENCE),
            "the reference has shape (1, 2) and the candidate (2, 1); both must have the same shape, "
            "because they are compared element by element",
            id="another shape",
        ),
        pytest.param(
            (REFERENCE, None, REFERENCE, REFERENCE.astype(str)),
            "the variant in its runtime has dtype <U32; only real numbers can be compared",
            id="strings",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(stages, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SplitSums.of(*stages)
