"""Thumbnails have the bits of means that NumPy computes piece by piece, whatever is computed together."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quantlab.samples.near import STEPS, _block_means
from quantlab.samples.thumbnails import thumbnails


def plain(images):
    """The same in whole passes over all images: what a thumbnail is."""
    with np.errstate(invalid="ignore", over="ignore"):
        small = plain_means(np.moveaxis(plain_means(images), 2, 1))
        grey = small.mean(axis=3, dtype=np.float64).transpose(0, 2, 1)
        level = grey.mean(axis=(1, 2))
        centred = grey - level[:, None, None]
        contrast = np.sqrt((centred**2).mean(axis=(1, 2)))
        flat = ~(contrast > 1e-6 * np.abs(level)) | ~np.isfinite(contrast)
        scale = np.where(flat, np.inf, contrast)[:, None]
        values = [centred.reshape(len(grey), -1)]
        if images.shape[3] > 1:
            values.append(small.mean(axis=(1, 2), dtype=np.float64) - level[:, None])
        steps = np.where(flat[:, None], 0.0, np.concatenate(values, axis=1) / scale * STEPS)
    return np.clip(np.rint(steps), -127, 127).astype(np.int8), flat, grey.shape[1:]


def plain_means(images):
    length = images.shape[1]
    pieces = min(16, length)
    ends = [piece * length // pieces for piece in range(pieces + 1)]
    sums = [images[:, ends[piece] : ends[piece + 1]].sum(axis=1, dtype=np.float32) for piece in range(pieces)]
    sizes = np.diff(ends).astype(np.float32).reshape(-1, *[1] * (images.ndim - 2))
    return np.asarray(np.stack(sums, axis=1) / sizes, np.float32)


def assert_plain(images):
    found, (values, flat, shape) = thumbnails(images), plain(images)
    assert found.shape == shape
    assert found.values.dtype == np.int8
    assert np.array_equal(found.values, values)
    assert np.array_equal(found.flat, flat)


def drawn(shape, dtype, seed):
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        with np.errstate(over="ignore"):
            # Values of many magnitudes, so that each order of a sum rounds differently.
            return (random.standard_normal(shape) * np.exp2(random.integers(-12, 12, shape))).astype(dtype)
    ends = np.iinfo(dtype)
    return random.integers(ends.min, ends.max, shape, dtype, endpoint=True)


DTYPES = ("uint8", "int8", "uint16", "int32", "uint32", "int64", "float16", "float32", ">f4", "float64")
LAYOUTS = {
    "channels last": lambda images: images,
    "channels first": lambda images: np.moveaxis(np.ascontiguousarray(np.moveaxis(images, 3, 1)), 1, 3),
    "every other image": lambda images: np.repeat(images, 2, axis=0)[::2],
    "Fortran order": np.asfortranarray,
    "upside down": lambda images: np.ascontiguousarray(images[:, ::-1])[:, ::-1],
}


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 150), st.integers(1, 150), st.sampled_from((1, 3))),
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from(sorted(LAYOUTS)),
    seed=st.integers(0, 2**32 - 1),
)
@example(shape=(3, 28, 28, 1), dtype="float32", layout="channels last", seed=0)
@example(shape=(3, 64, 64, 1), dtype="float32", layout="channels last", seed=0)
@example(shape=(3, 130, 140, 3), dtype="float32", layout="channels first", seed=0)
@example(shape=(3, 1, 1, 3), dtype="float32", layout="channels last", seed=0)
def test_a_thumbnail_is_that_of_plain_means(shape, dtype, layout, seed):
    assert_plain(LAYOUTS[layout](drawn(shape, dtype, seed)))


@given(
    share=st.sampled_from((0.001, 0.1, 1.0)),
    special=st.lists(st.sampled_from((np.nan, np.inf, -np.inf, -0.0, 0.0, 3e38, -3e38, 1e-45)), min_size=1),
    channels=st.sampled_from((1, 3)),
    seed=st.integers(0, 2**32 - 1),
)
def test_values_that_are_not_finite_or_zero_change_nothing_else(share, special, channels, seed):
    random = np.random.default_rng(seed)
    images = drawn((4, 20, 33, channels), "float32", seed)
    chosen = random.random(images.shape) < share
    images[chosen] = random.choice(special, chosen.sum())
    assert_plain(images)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_more_images_than_are_computed_together(layout, channels):
    assert_plain(LAYOUTS[layout](drawn((1500, 17, 20, channels), "float32", 1)))


def test_no_images():
    found = thumbnails(np.zeros((0, 20, 8, 3), np.float32))
    assert (found.values.shape, found.shape, found.flat.shape) == ((0, 16 * 8 + 3), (16, 8), (0,))


def test_images_that_are_mapped_from_an_odd_place(tmp_path):
    images = drawn((5, 30, 40, 3), "float32", 2)
    (tmp_path / "images").write_bytes(b"odd" + images.tobytes())
    mapped = np.memmap(tmp_path / "images", "float32", "r", offset=3, shape=images.shape)
    assert not mapped.flags.aligned
    assert_plain(mapped)


@given(n=st.integers(0, 5), height=st.integers(1, 16), width=st.integers(1, 16), seed=st.integers(0, 2**32 - 1))
@example(n=3, height=16, width=16, seed=0)
def test_means_of_blocks_have_the_bits_of_reduceat(n, height, width, seed):
    values = np.random.default_rng(seed).integers(-127, 127, (n, height * width), np.int8, endpoint=True)
    means, weights = values.reshape(n, height, width).astype(np.float64), []
    for axis, length in ((1, height), (2, width)):
        starts = np.arange(min(8, length)) * length // min(8, length)
        sizes = np.diff(starts, append=length)
        means = np.moveaxis(np.moveaxis(np.add.reduceat(means, starts, axis=axis), axis, 2) / sizes, 2, axis)
        weights.append(sizes / length)
    weighted = means * np.sqrt(np.multiply.outer(*weights)) / STEPS
    found, rows = _block_means(values, (height, width))
    assert rows == len(weights[0])
    assert np.array_equal(found.view(np.uint64), weighted.reshape(found.shape).view(np.uint64))
