"""Codes of values and values of codes: inputs and outputs of files with integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.formats.affine import decode, decode_affine, encode
from quantlab.types import Codes


@pytest.mark.parametrize(
    ("codes", "dtype", "values", "expected"),
    [
        pytest.param(Codes(0.5, 3, 0, 255), "uint8", [0.0, 1.0], [3, 5], id="scale and zero point"),
        pytest.param(Codes(1.0, 0, -128, 127), "int8", [0.5, -0.5, 1.5, -1.5], [1, -1, 2, -2], id="halves from zero"),
        pytest.param(Codes(1.0, 0, -128, 127), "int8", [999.0, -999.0], [127, -128], id="beyond the ends"),
        pytest.param(Codes(1.0, 0, -127, 127), "int8", [-128.0], [-127], id="beyond the ends of what is used"),
        pytest.param(Codes(2 / 255, 0, 0, 255, -1.0), "uint8", [-1.0, 1.0], [0, 255], id="pixels of −1…1"),
    ],
)
def test_values_are_encoded(codes, dtype, values, expected):
    encoded = encode(np.array(values, np.float32), codes, dtype)
    assert (encoded.dtype, encoded.tolist()) == (np.dtype(dtype), expected)


@given(
    st.floats(1e-4, 10.0, allow_subnormal=False),
    st.integers(-128, 127),
    st.lists(st.integers(-128, 127), min_size=1, max_size=20),
)
def test_values_of_codes_are_encoded_to_the_same_codes(scale, zero_point, numbers):
    codes = Codes(scale, zero_point, -128, 127)
    stored = np.array(numbers, np.int8)
    np.testing.assert_array_equal(encode(decode(stored, codes), codes, "int8"), stored)


def test_what_is_encoded_already_and_what_has_no_codes_stays():
    stored, floats = np.array([7], np.uint8), np.array([7.0], np.float32)
    assert encode(stored, Codes(0.5, 3, 0, 255), "uint8") is stored
    assert decode(stored, None) is stored
    assert decode(floats, Codes(0.5, 3, 0, 255)) is floats


def test_an_offset_counts_in_both_directions():
    codes = Codes(2 / 255, 0, 0, 255, -1.0)
    np.testing.assert_allclose(decode(np.array([0, 51, 255], np.uint8), codes), [-1.0, -0.6, 1.0], atol=1e-7)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_one_scale_is_decoded_as_the_scales_of_channels_are(dtype):
    ends = np.iinfo(dtype)
    stored = np.random.default_rng(1).integers(ends.min, ends.max, 1000, dtype, endpoint=True)
    scale = float(np.float32(0.003921569))
    codes = Codes(scale, 12, ends.min, ends.max)
    np.testing.assert_array_equal(decode(stored, codes), decode_affine(stored, scale, 12, axis=None))
