"""Which samples are called equal or nearly equal, and which are not."""

import hashlib
import io
import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from quantlab.samples import SampleOptions, open_parts
from quantlab.samples.duplicates import Copies, Fingerprints, PlacedFingerprints
from quantlab.samples.groups import group_codes
from quantlab.samples.near import NEAR_DISTANCE, STEPS, Thumbnails
from quantlab.samples.source import HeldTensor, Source, pieces
from quantlab.types import Duplicate, Duplicates, TensorSpec
from quantlab_reports import RENDERINGS, Selection
from quantlab_reports.views.duplicates import duplicate_table


def fingerprints(*arrays, block=7):
    inputs = [
        TensorSpec(f"x{place}", str(values.dtype), (None, *values.shape[1:])) for place, values in enumerate(arrays)
    ]
    starts = range(0, len(arrays[0]), block)
    placed = PlacedFingerprints(len(arrays[0]))
    for start in starts:
        some = {spec.name: values[start : start + block] for spec, values in zip(inputs, arrays, strict=True)}
        placed.put(start + np.arange(len(some["x0"])), Fingerprints.of(some, inputs))
    return placed.whole


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
    "layout", [np.ascontiguousarray, np.asfortranarray, lambda values: np.repeat(values, 2, 0)[::2]]
)
@pytest.mark.parametrize("shape", [(9, 4, 3), (9, 0), (9,)])
def test_the_hash_is_of_the_bytes_of_all_inputs(shape, layout):
    one = layout(np.random.default_rng(0).random(shape, np.float32))
    other = np.arange(18, dtype=np.int16).reshape(9, 2)
    expected = [
        hashlib.blake2b(a.tobytes() + b.tobytes(), digest_size=16).digest() for a, b in zip(one, other, strict=True)
    ]
    assert fingerprints(one, other).hashes == expected


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


@pytest.mark.parametrize(
    "n", [pytest.param(500, id="fewer pairs than are compared at once"), pytest.param(2000, id="more of them")]
)
def test_a_static_camera_is_one_group(n):
    frame = photos(1, size=32, channels=1)
    noise = np.random.default_rng(1).normal(0, 2, (n, 32, 32, 1))
    frames = np.clip(frame + noise, 0, 255).astype(np.uint8)
    found = Copies.find(fingerprints(frames, block=500))
    assert len(np.unique(found.codes)) == 1
    assert len(found.copies) == n - 1


def test_what_is_near_is_found_among_many_that_are_not():
    random = np.random.default_rng(2)
    images = np.repeat(random.integers(0, 256, (700, 4, 4, 1)), 3, axis=0).repeat(4, axis=1).repeat(4, axis=2)
    images = np.clip(images + random.normal(0, 2.5, images.shape), 0, 255).astype(np.uint8)
    thumbnails = fingerprints(images).thumbnails
    values = thumbnails.values.astype(np.float64) / STEPS
    squares = (values**2).sum(axis=1)
    apart = np.sqrt(np.maximum(squares[:, None] + squares - 2 * values @ values.T, 0) / values.shape[1])
    leader, distances = thumbnails.copies()
    leads = np.flatnonzero(leader == np.arange(len(leader)))
    members = np.flatnonzero(leader != np.arange(len(leader)))
    assert 700 <= len(leads) < len(leader)
    assert (leader[leader] == leader).all()
    np.testing.assert_allclose(distances[members], apart[members, leader[members]], atol=1e-6)
    assert (distances <= NEAR_DISTANCE).all()
    between = apart[np.ix_(leads, leads)] + np.eye(len(leads))
    assert (between > NEAR_DISTANCE - 1e-6).all()
    near = thumbnails.at(members).near(thumbnails.at(leads))
    np.testing.assert_array_equal(near, apart[np.ix_(members, leads)].min(axis=1) <= NEAR_DISTANCE + 1e-9)


def noisy_thumbnails(kinds, n, shape, random):
    """Thumbnails around those of some kinds, so that many of one kind are about as far apart as nearly equal ones."""
    noise = random.integers(-2, 3, (n, kinds.shape[1])) * random.random((n, kinds.shape[1])).round()
    values = kinds[random.integers(0, len(kinds), n)] + (noise * random.random((n, 1)) * 1.5).round()
    return Thumbnails(values.clip(-127, 127).astype(np.int8), shape, random.random(n) < 0.1)


@given(
    n=st.integers(0, 300),
    others=st.integers(0, 60),
    shape=st.tuples(st.integers(1, 16), st.integers(1, 16)),
    colours=st.sampled_from((0, 3)),
    kinds=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
@example(n=4500, others=40, shape=(16, 16), colours=0, kinds=30, seed=0)
@example(n=900, others=512, shape=(16, 16), colours=0, kinds=30, seed=0)
@example(n=900, others=513, shape=(16, 16), colours=0, kinds=30, seed=0)
@example(n=900, others=500, shape=(16, 16), colours=3, kinds=1, seed=0)
def test_near_thumbnails_of_others_are_those_of_all_pairs(n, others, shape, colours, kinds, seed):
    random = np.random.default_rng(seed)
    grey = shape[0] * shape[1]
    drawn = random.integers(-64, 65, (kinds, grey + colours))
    mine, theirs = (noisy_thumbnails(drawn, count, shape, random) for count in (n, others))
    found = np.zeros(n, np.bool_)
    for one in theirs.values[~theirs.flat].astype(np.int32):
        difference = mine.values - one
        near = np.sqrt((difference[:, :grey] ** 2).mean(axis=1)) / STEPS <= NEAR_DISTANCE
        found |= near & (np.abs(difference[:, grey:]) <= 2 * NEAR_DISTANCE * STEPS).all(axis=1)
    np.testing.assert_array_equal(mine.near(theirs), found & ~mine.flat)


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


@given(n=st.integers(0, 30), known=st.sets(st.integers(0, 29)))
def test_samples_among_others(n, known):
    found = fingerprints(np.arange(max(1, n), dtype=np.float32)[:, None])
    others = {digest[:8] for place, digest in enumerate(found.hashes) if place in known}
    assert found.among(others, length=8).tolist() == [place in known for place in range(found.n)]


def test_many_images_are_compared_byte_by_byte_alone():
    images = photos(6)
    images[4], images[5] = images[0], jpeg(images[1])
    block, spec = {"x": images}, TensorSpec("x", "uint8", (None, *images.shape[1:]))
    several, many = (Fingerprints.of(block, [spec], compared=compared) for compared in (True, False))
    found, equal = Copies.find(several), Copies.find(many)
    assert (len(found.copies), found.equal, found.searched) == (2, 1, True)
    assert (equal.copies.tolist(), equal.equal, equal.searched) == ([4], 1, False)


@pytest.mark.parametrize(
    ("most", "groups", "words"),
    [
        pytest.param(12, 10, "", id="as many as are compared"),
        pytest.param(
            11,
            11,
            "--group duplicates groups only images of 'made' that are equal byte by byte, because there are 12, and "
            "nearly equal ones are looked for among at most 11; name groups with another key if there are such",
            id="more",
        ),
    ],
)
def test_groups_of_many_images_are_of_equal_ones_alone(most, groups, words):
    images = photos(12)
    images[7], images[9] = images[2], jpeg(images[2])
    held = HeldTensor("x", images.shape, images.dtype)
    source = Source("made", 12, (held,), None, lambda indices: ({"x": images[piece]} for piece in pieces(indices, 5)))
    warned = []
    codes = group_codes(
        "duplicates",
        source,
        inputs=[TensorSpec("x", (None, *images.shape[1:]), "uint8")],
        options=SampleOptions(warn=warned.append, most_images=most),
    )
    assert (len(np.unique(codes)), " ".join(warned)) == (groups, words)
    assert codes[7] == codes[2]


def test_what_was_not_looked_for_is_said():
    shown = [
        " ".join(RENDERINGS["terminal"](duplicate_table(found, Selection())).split())
        for found in (
            Duplicates(n=200_000, equal=0, near=0, searched=False),
            Duplicates(n=200_000, equal=3, near=0, pairs=(Duplicate(4, 1, 0.0),), searched=False),
        )
    ]
    said = "nearly equal images are looked for among at most 100,000"
    assert f"None of the 200,000 scored samples equals another one byte by byte; {said}" in shown[0]
    assert f"3 of 200,000 scored samples equal another one byte by byte; {said}" in shown[1]
    assert "the first 1 are listed" in shown[1]


@pytest.mark.parametrize(
    ("most", "looked_for", "among_scored"),
    [
        pytest.param(100_000, True, True, id="few scored images"),
        pytest.param(20, True, False, id="more scored images than are compared with each other"),
        pytest.param(5, False, False, id="more calibration images, too"),
    ],
)
def test_any_number_of_scored_images_is_compared_with_calibration_images(most, looked_for, among_scored, tmp_path):
    images = photos(60, size=16)
    np.savez(tmp_path / "x.npz", x=images[:50])
    calibration = np.concatenate([images[50:], (images[[0, 19, 20, 49]] * 0.8).astype(np.uint8)])
    np.savez(tmp_path / "c.npz", x=calibration)
    parts = open_parts(
        str(tmp_path / "x.npz"),
        str(tmp_path / "c.npz"),
        model_inputs=(TensorSpec("x", (None, 16, 16, 3), "float32"),),
        folder=tmp_path / "study",
        options=SampleOptions(most_images=most),
    )
    near = (
        "4 scored samples are nearly equal to samples for calibration or of a search, so quantized variants may look "
        "better than they are; draw them together with --group duplicates"
    )
    unknown = (
        "nearly equal images are looked for among at most 5 samples for calibration or of a search, and there are "
        "more, so it is unknown how many scored samples are nearly equal to one of them; give fewer"
    )
    assert parts.warnings == ((near if looked_for else unknown),)
    assert parts.duplicates.searched == among_scored


def test_scored_images_of_several_parts_are_compared_with_calibration_images(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (17_000, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "x.npz", x=images)
    np.savez(tmp_path / "c.npz", x=(images[[0, 8191, 8192, 16_384, 16_999]] * 0.8).astype(np.uint8))
    parts = open_parts(
        str(tmp_path / "x.npz"),
        str(tmp_path / "c.npz"),
        model_inputs=(TensorSpec("x", (None, 4, 4, 1), "float32"),),
        folder=tmp_path / "study",
        options=SampleOptions(most_images=20),
    )
    assert [warning.partition(" to samples")[0] for warning in parts.warnings] == ["5 scored samples are nearly equal"]


def test_copies_that_are_groups_already_need_no_advice(tmp_path):
    images = photos(10, size=16)
    np.savez(tmp_path / "x.npz", x=images)
    np.savez(tmp_path / "c.npz", x=(images[:2] * 0.8).astype(np.uint8))
    parts = open_parts(
        str(tmp_path / "x.npz"),
        str(tmp_path / "c.npz"),
        model_inputs=(TensorSpec("x", (None, 16, 16, 3), "float32"),),
        folder=tmp_path / "study",
        options=SampleOptions(group="duplicates"),
    )
    assert " ".join(parts.warnings) == (
        "2 scored samples are nearly equal to samples for calibration or of a search, so quantized variants may look "
        "better than they are"
    )
