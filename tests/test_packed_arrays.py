"""Arrays as text: what was packed comes back, and what is damaged is refused in one sentence."""

import base64
import contextlib
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quantlab.errors import ConversionError
from quantlab.types import PackedArray
from quantlab_converters.packed_arrays import pack, unpack

KINDS = (np.uint8, np.int16, np.float16, np.float32)


@given(st.sampled_from(KINDS).flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, min_side=0))))
def test_an_array_comes_back(values):
    packed = pack(values)
    assert packed.shape == values.shape
    assert packed == pack(values.copy(order="F"))
    found = unpack(packed, "dense/kernel")
    assert (found.dtype, found.shape, found.tobytes()) == (values.dtype, values.shape, values.tobytes())


def test_a_single_value_keeps_its_shape():
    """One scale in all is told from one scale for each of one channel by its shape."""
    assert pack(np.array(3, np.uint8)).shape == ()
    assert unpack(pack(np.array(3, np.uint8)), "dense/kernel").shape == ()


def test_values_that_lie_apart_in_memory_are_packed_in_their_order():
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    np.testing.assert_array_equal(unpack(pack(values.T[::2]), "dense/kernel"), [[0, 4, 8], [2, 6, 10]])


def test_bytes_are_little_endian():
    assert pack(np.array([1], ">i2")) == pack(np.array([1], "<i2")) == PackedArray("int16", (1,), as_text(b"\1\0"))


@pytest.mark.parametrize("kind", [np.int64, np.float64, np.bool_, object])
def test_data_types_that_no_weight_has_are_not_packed(kind):
    with pytest.raises(ValueError, match="are not packed") as error:
        pack(np.zeros(2, kind))
    assert str(error.value) == f"arrays of {np.dtype(kind).name} are not packed, only of float16, float32, int16, uint8"


def as_text(data):
    return base64.b64encode(zlib.compress(data, 9)).decode()


GOOD = zlib.compress(bytes(range(200)), 9)


def text(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("packed", "claimed"),
    [
        pytest.param(PackedArray("uint8", (4,), "not base64!"), "uint8 array of shape (4,)", id="no base64"),
        pytest.param(PackedArray("uint8", (4,), "äöü="), "uint8 array of shape (4,)", id="letters beyond ASCII"),
        pytest.param(PackedArray("uint8", (4,), ""), "uint8 array of shape (4,)", id="nothing"),
        pytest.param(PackedArray("uint8", (0,), ""), "uint8 array of shape (0,)", id="nothing, of an empty array"),
        pytest.param(PackedArray("uint8", (4,), text(b"1234")), "uint8 array of shape (4,)", id="not compressed"),
        pytest.param(
            PackedArray("uint8", (200,), text(GOOD[:100])), "uint8 array of shape (200,)", id="cut in the middle"
        ),
        pytest.param(
            PackedArray("uint8", (200,), text(GOOD[:-3])), "uint8 array of shape (200,)", id="cut in the checksum"
        ),
        pytest.param(
            PackedArray("uint8", (200,), text(GOOD[:-1] + bytes([GOOD[-1] ^ 1]))),
            "uint8 array of shape (200,)",
            id="a wrong checksum",
        ),
        pytest.param(
            PackedArray("uint8", (200,), text(GOOD + b"!")), "uint8 array of shape (200,)", id="more after it"
        ),
        pytest.param(PackedArray("uint8", (199,), text(GOOD)), "uint8 array of shape (199,)", id="a shape too small"),
        pytest.param(PackedArray("uint8", (201,), text(GOOD)), "uint8 array of shape (201,)", id="a shape too large"),
        pytest.param(PackedArray("int16", (200,), text(GOOD)), "int16 array of shape (200,)", id="a wider data type"),
        pytest.param(
            PackedArray("uint8", (-1, -200), text(GOOD)), "uint8 array of shape (-1, -200)", id="negative lengths"
        ),
        pytest.param(
            PackedArray("uint8", (1 << 63, 4), text(GOOD)),
            "uint8 array of shape (9223372036854775808, 4)",
            id="a shape beyond all memory",
        ),
        pytest.param(PackedArray("object", (200,), text(GOOD)), "object array of shape (200,)", id="objects"),
        pytest.param(
            PackedArray("no such type", (200,), text(GOOD)), "no such type array of shape (200,)", id="no type"
        ),
    ],
)
def test_damaged(packed, claimed):
    with pytest.raises(ConversionError) as error:
        unpack(packed, "dense/kernel")
    assert str(error.value) == (
        f"the decisions about 'dense/kernel' are damaged: they hold no {claimed}; run 'quantlab tune' again"
    )


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_gives_other_values(place, change):
    """Bits of the header that say nothing about the values may change."""
    changed = GOOD[:place] + bytes([GOOD[place] ^ change]) + GOOD[place + 1 :]
    with contextlib.suppress(ConversionError):
        assert unpack(PackedArray("uint8", (200,), text(changed)), "dense/kernel").tobytes() == bytes(range(200))


def test_a_small_text_that_expands_to_much_is_not_expanded():
    bomb = PackedArray("uint8", (10,), as_text(bytes(64 << 20)))
    tracemalloc.start()
    with pytest.raises(ConversionError, match="they hold no uint8 array of shape"):
        unpack(bomb, "dense/kernel")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
