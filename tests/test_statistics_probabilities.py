"""The check whether outputs look like probabilities, and the blocks in which outputs are read."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.statistics import ProbabilitySums, blocks, looks_like_probabilities, rows_of_shares


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        pytest.param([[0.25, 0.75], [1.0, 0.0]], True, id="distributions"),
        pytest.param([[0.25, 0.7505], [0.25, 0.7495]], True, id="rounded to half precision"),
        pytest.param([[0.25, 0.752]], False, id="a sum two thousandths above one"),
        pytest.param([[0.25, 0.748]], False, id="a sum two thousandths below one"),
        pytest.param([[0.5, 0.5], [0.5, 0.6]], False, id="one row of two is enough to object"),
        pytest.param([[0.5, 0.5]] * 343 + [[0.5, 0.6]], True, id="one odd row of 344 decides nothing"),
        pytest.param([[0.5]] * 343 + [[1.001]], True, id="one odd value of 344 decides nothing"),
        pytest.param([[0.5, 0.5]] * 94 + [[0.5, 0.6]] * 6, False, id="six odd rows of a hundred are too many"),
        pytest.param([[0.5, 0.5]] * 95 + [[0.5, 0.6]] * 5, True, id="five odd rows of a hundred are not"),
        pytest.param([[1.5, -0.5]], False, id="negative, though the sum is one"),
        pytest.param([[math.nan, 1.0]], False, id="NaN"),
        pytest.param([[math.inf, 0.0]], False, id="infinity"),
        pytest.param([[math.inf, -math.inf]], False, id="opposite infinities"),
        pytest.param([[0.0], [0.3], [1.0]], True, id="one column from 0 to 1"),
        pytest.param([0.0, 0.3, 1.0], True, id="no column, from 0 to 1"),
        pytest.param([[0.3], [1.1]], False, id="one column above 1"),
        pytest.param([[0.3], [-0.1]], False, id="one column below 0"),
        pytest.param([[0.3], [math.nan]], False, id="one column with NaN"),
        pytest.param([[0.3], [-math.inf]], False, id="one column with minus infinity"),
        pytest.param(np.full((1, 2, 2), 0.5), False, id="an image of halves"),
        pytest.param(np.zeros((0, 3)), False, id="no samples tell nothing"),
        pytest.param(np.zeros((0, 1)), False, id="no samples of one column"),
        pytest.param(np.zeros((2, 0)), False, id="no columns"),
        pytest.param(np.array([[255, 2]], np.uint8), False, id="bytes do not wrap around to one"),
    ],
)
def test_outputs_that_look_like_probabilities(outputs, expected):
    assert looks_like_probabilities(np.asarray(outputs)) is expected


def test_rows_of_every_block_count():
    outputs = np.full((6000, 1000), 1e-3, np.float32)
    assert len(list(blocks(outputs))) > 1
    assert looks_like_probabilities(outputs)
    outputs[-300:, 0] = 1
    assert looks_like_probabilities(outputs)
    outputs[-301, 0] = 1
    assert not looks_like_probabilities(outputs)


@pytest.mark.parametrize(
    ("distributions", "n", "disagree"),
    [
        pytest.param(344, 344, False, id="all are probabilities"),
        pytest.param(343, 344, True, id="one is not"),
        pytest.param(172, 344, True, id="half are not"),
        pytest.param(171, 344, False, id="most are logits, of which some are in 0 to 1"),
        pytest.param(0, 0, False, id="no samples"),
    ],
)
def test_rows_that_disagree(distributions, n, disagree):
    assert ProbabilitySums(n=n, distributions=distributions).disagree is disagree


def test_rows_of_shares_need_not_add_up():
    outputs = np.array(
        [
            [[0.2], [1.0]],
            [[0.0], [0.1]],
            [[0.5], [1.1]],
            [
                [
                    math.nan,
                ],
                [0.5],
            ],
        ]
    )
    assert rows_of_shares(outputs) == ProbabilitySums(n=4, distributions=2)


def test_rows_are_counted():
    assert ProbabilitySums.of(np.array([[0.5, 0.5], [2.0, 2.0], [1.0, 0.0]])) == ProbabilitySums(n=3, distributions=2)
    assert not ProbabilitySums(n=3, distributions=2).most
    assert not ProbabilitySums().most


@given(
    n=st.integers(0, 50),
    shape=st.sampled_from([(), (1,), (3,), (2, 5), (0,)]),
    block_bytes=st.integers(1, 2000),
)
def test_blocks_cover_every_sample_once_and_stay_small(n, shape, block_bytes):
    slices = list(blocks(np.zeros((n, *shape), np.float32), block_bytes=block_bytes))
    assert [index for rows in slices for index in range(rows.start, rows.stop)] == list(range(n))
    sample_bytes = 8 * math.prod(shape)
    assert all(rows.stop - rows.start == 1 or (rows.stop - rows.start) * sample_bytes <= block_bytes for rows in slices)


def test_blocks_are_as_large_as_allowed():
    assert list(blocks(np.zeros((5, 2)), block_bytes=2 * 2 * 8)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert len(list(blocks(np.zeros((10_000, 10))))) == 1
