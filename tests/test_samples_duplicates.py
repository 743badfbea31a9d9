"""Which samples are called equal or nearly equal, and which are not."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from quantlab.samples.duplicates import Copies, Fingerprints
from quantlab.types import Duplicates, TensorSpec
from quantlab_reports import RENDERINGS, Selection
from quantlab_reports.views.duplicates import duplicate_table


def fingerprints(*arrays, block=7):
    inputs = [
        TensorSpec(f"x{place}", str(values.dtype), (None, *values.shape[1:])) for place, values in enumerate(arrays)
    ]
    starts = range(0, len(arrays[0]), block)
    parts = [
        Fingerprints.of(
            {spec.name: values[start : start + block] for spec, values in zip(inputs, arrays, strict=True)}, inputs
        )
        for start in starts
    ]
    return Fingerprints.joined(parts)


def photos(n, *, size=64, channels=3, seed=0):
    """Smooth images with edges, as photos have."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 255, (n, 8, 8, channels)).astype(np.uint8)
    squeezed = [image if channels == 3 else image[..., 0] for image in coarse]
    large = [np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)) for image in squeezed]
    return np.stack(large).reshape(n, size, size, channels)


def jpeg(image, quality=75):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(image):
    return np.asarray(Image.fromarray(image).resize((56, 56), Image.Resampling.BILINEAR).resize((64, 64)))


def noisy(image):
    return np.clip(image + np.random.default_rng(5).normal(0, 4, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        pytest.param(lambda image: image, "equal", id="the same bytes"),
        pytest.param(jpeg, "near", id="compressed again"),
        pytest.param(resized, "near", id="resized and back"),
        pytest.param(noisy, "near", id="noise of 4 of 255"),
        pytest.param(lambda image: (image * 0.7).astype(np.uint8), "near", id="darker"),
        pytest.param(lambda image: image[:, ::-1], None, id="mirrored"),
        pytest.param(lambda image: np.roll(image, 16, axis=1), None, id="shifted by a quarter"),
        pytest.param(lambda image: image[..., [1, 2, 0]], None, id="other colours"),
        pytest.param(lambda image: 255 - image, None, id="negative"),
    ],
)
def test_what_is_a_copy(change, kind):
    images = photos(12)
    images[9] = change(images[2])
    found = Copies.find(fingerprints(images))
    assert sorted({2, 9} & {*found.copies.tolist(), *found.of[found.copies].tolist()}) == (
        [] if kind is None else [2, 9]
    )
    assert len(found.copies) == (kind is not None)
    assert found.equal == (kind == "equal")
    assert len(np.unique(found.codes)) == 12 - (kind is not None)


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(photos(300, size=16, channels=1), id="grey"),
        pytest.param(photos(300, size=16).astype(np.float32) / 255, id="floats in colour"),
        pytest.param(np.moveaxis(photos(300, size=16), 3, 1), id="channels first"),
        pytest.param(photos(300, size=3, channels=1).astype(np.float32), id="nine pixels"),
    ],
)
def test_different_images_are_no_copies(images):
    assert not len(Copies.find(fingerprints(images)).copies)


def test_images_without_contrast_are_compared_byte_by_byte():
    images = np.stack([np.full((8, 8, 1), value, np.float32) for value in (0, 0, 1, 2, np.nan, np.nan)])
    found = Copies.find(fingerprints(images))
    assert found.of.tolist() == [0, 0, 2, 3, 4, 4]


def test_other_samples_are_compared_byte_by_byte():
    values = np.random.default_rng(0).normal(size=(9, 20)).astype(np.float32)
    values[4], values[7] = values[1], values[1] * (1 + 1e-6)
    found = Copies.find(fingerprints(values))
    assert (found.of.tolist(), found.equal) == ([0, 1, 2, 3, 1, 5, 6, 7, 8], 1)


def test_all_inputs_count():
    one, other = np.zeros((3, 2), np.float32), np.array([[1], [2], [1]], np.int32)
    assert Copies.find(fingerprints(one, other)).of.tolist() == [0, 1, 0]


@given(order=st.permutations(range(12)))
def test_groups_do_not_depend_on_the_order(order):
    images = np.repeat(photos(4, size=16), 3, axis=0)
    images[1] = (images[0] * 0.8).astype(np.uint8)
    codes = Copies.find(fingerprints(images[list(order)])).codes
    expected = np.array(order) // 3
    assert len(np.unique(np.stack([codes, expected]), axis=1).T) == 4


def test_a_static_camera_is_one_group():
    frame = photos(1, size=32, channels=1)
    noise = np.random.default_rng(1).normal(0, 2, (2000, 32, 32, 1))
    frames = np.clip(frame + noise, 0, 255).astype(np.uint8)
    found = Copies.find(fingerprints(frames, block=500))
    assert len(np.unique(found.codes)) == 1
    assert len(found.copies) == 1999


def test_near_samples_of_another_set():
    scored, calibration = photos(40), photos(5, seed=1)
    calibration[3] = jpeg(scored[17])
    assert np.flatnonzero(fingerprints(scored).near(fingerprints(calibration))).tolist() == [17]
    assert not fingerprints(scored).near(fingerprints(np.zeros((3, 4), np.float32))).any()


@given(n=st.integers(1, 40), block=st.integers(1, 40))
def test_blocks_do_not_matter(n, block):
    images = photos(n, size=8, channels=1)
    whole, parts = fingerprints(images, block=n), fingerprints(images, block=block)
    assert whole.hashes == parts.hashes
    np.testing.assert_array_equal(whole.thumbnails.values, parts.thumbnails.values)


@pytest.mark.parametrize("rendering", ["terminal", "markdown", "latex", "json", "csv"])
def test_no_copies_are_said_in_a_sentence(rendering):
    table = duplicate_table(Duplicates(n=300, equal=0, near=0, pairs=()), Selection())
    text = RENDERINGS[rendering](table)
    told = "None of the 300 scored samples equals another one or nearly does, so there are no copies"
    if rendering == "json":
        assert json.loads(text) == []
    elif rendering == "csv":
        assert text.strip() == "sample,of,equal,distance,file,of_file"
    else:
        assert told in " ".join(text.split())
        assert "copy of" not in text
