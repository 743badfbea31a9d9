"""Samples in arrays: names, shapes, dtypes, labels, random subsets and written files."""

import io
import os
import resource
import signal
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.errors import SamplesError, UsageError
from quantlab.samples import (
    ACCEPTED,
    Part,
    SampleOptions,
    check_labels,
    draw,
    labels_sha256,
    open_parts,
    open_samples,
    open_source,
    samples_sha256,
    split,
    write_samples,
)
from quantlab.samples.origins import intact_origins, origins_sha256
from quantlab.samples.source import HeldTensor, Source, pieces
from quantlab.samples.subset import SEARCH_SAMPLES
from quantlab.types import Preprocessing, SampleSet, TensorSpec

IMAGE = TensorSpec("image", (None, 4, 3, 1), "float32")
PIXELS = np.arange(10 * 12, dtype=np.uint8).reshape(10, 4, 3, 1)
CLASSES = np.arange(10) % 2


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fashion():
    here = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("QUANTLAB_DATA", here.parent / "shared" / "data")) / "fashion-mnist"
    if not folder.is_dir():
        pytest.skip("needs Fashion-MNIST as data/README.md describes it; name the folder with QUANTLAB_DATA")
    return folder


def opened_parts(data="x.npz", *, calibrate=0, **options):
    return open_parts(
        data,
        None,
        model_inputs=(IMAGE,),
        folder=Path("study"),
        options=SampleOptions(**options),
        calibrate=calibrate,
    )


def opened(data="x.npz", *, inputs=(IMAGE,), calibration=None, calibrate=0, **options):
    return open_samples(
        data,
        calibration,
        model_inputs=tuple(inputs),
        folder=Path("study"),
        options=SampleOptions(**options),
        calibrate=calibrate,
    )


def tensor(samples: SampleSet, name="image"):
    return np.load(samples.input_file(name))


def positions(samples: SampleSet):
    return np.load(samples.folder / "indices.npy")


# What is read


def test_an_npz_becomes_the_models_bytes():
    np.savez("x.npz", x=PIXELS, y=CLASSES)
    samples, calibration = opened()
    assert calibration is None
    assert samples == SampleSet(
        folder=Path("study/data") / samples.sha256[:12],
        inputs=(IMAGE,),
        n=10,
        labelled=True,
        sha256=samples.sha256,
        source="x.npz",
        available=10,
        drawn="all",
        preprocessing="",
        labels_sha256=labels_sha256(np.array(CLASSES, "<i8")),
        origins_sha256=origins_sha256(samples.folder),
    )
    assert tensor(samples).dtype == np.dtype("<f4")
    np.testing.assert_array_equal(tensor(samples), PIXELS)
    np.testing.assert_array_equal(np.load(samples.labels_file), CLASSES)
    np.testing.assert_array_equal(positions(samples), np.arange(10))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "deflated"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_of_an_npz_join_to_the_whole(save, order):
    # 59 MB: many blocks. Neighbours differ along each axis, and zlib packs them in a tenth of the time of random ones.
    sample, row, column = (np.arange(size, dtype=np.float32) for size in (37, 1000, 400))
    values = sample[:, None, None] + 64 * (row % 11)[:, None] + 1024 * (column % 7)
    save("x.npz", x=np.asarray(values, order=order))
    spec = TensorSpec("image", (None, None, None), "float32")
    samples, _ = opened(inputs=[spec], limit=20)
    np.testing.assert_array_equal(tensor(samples), values[positions(samples)])
    assert samples.inputs == (TensorSpec("image", (None, 1000, 400), "float32"),)


@pytest.mark.parametrize("labels_file", ["x.labels.npy", "x_labels.npy"])
def test_an_npy_finds_its_labels_beside_it(labels_file):
    np.save("x.npy", PIXELS)
    np.save(labels_file, CLASSES)
    samples, _ = opened("x.npy")
    np.testing.assert_array_equal(tensor(samples), PIXELS)
    np.testing.assert_array_equal(np.load(samples.labels_file), CLASSES)


def test_an_npy_alone_is_unlabelled():
    np.save("x.npy", PIXELS)
    samples, _ = opened("x.npy")
    assert (samples.labelled, samples.labels_file.exists()) == (False, False)


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [
        pytest.param("y.txt", "3\n1\n4\n", np.array([3, 1, 4]), id="integers are classes"),
        pytest.param("y.csv", "3\n1.5\n-4e1\n\n", np.array([3, 1.5, -40.0]), id="one float makes targets of all"),
    ],
)
def test_labels_as_text(name, text, labels):
    np.save("x.npy", PIXELS[:3])
    Path(name).write_text(text)
    samples, _ = opened("x.npy", labels=name)
    written = np.load(samples.labels_file)
    np.testing.assert_array_equal(written, labels)
    assert written.dtype == labels.dtype


def test_several_inputs_keep_names_dtypes_and_order():
    ids = TensorSpec("ids", (None, None), "int32")
    mask = TensorSpec("a/b:0", (None, None), "bool")
    np.savez("x.npz", **{"a/b:0": np.eye(5, dtype=np.uint8), "ids": np.arange(25).reshape(5, 5), "labels": np.ones(5)})
    samples, _ = opened(inputs=[ids, mask])
    assert samples.inputs == (replace(ids, shape=(None, 5)), replace(mask, shape=(None, 5)))
    assert tensor(samples, "ids").dtype == np.int32
    np.testing.assert_array_equal(tensor(samples, "a/b:0"), np.eye(5, dtype=bool))
    np.testing.assert_array_equal(np.load(samples.labels_file), np.ones(5))


@pytest.mark.parametrize(
    ("arrays", "named", "labelled"),
    [
        pytest.param({"x": PIXELS}, "y", False, id="an input that is called like labels"),
        pytest.param({"y": PIXELS, "labels": CLASSES}, "y", True, id="its labels have the other name"),
        pytest.param({"x": PIXELS, "y": CLASSES}, "y", True, id="x is it, and y the labels"),
        pytest.param({"image": PIXELS, "y": CLASSES, "paths": CLASSES}, "image", True, id="more beside labels"),
        pytest.param({"image": PIXELS, "x": CLASSES, "y": CLASSES}, "image", True, id="its own name goes before x"),
    ],
)
def test_which_array_is_what(arrays, named, labelled):
    np.savez("x.npz", **arrays)
    samples, _ = opened(inputs=[replace(IMAGE, name=named)])
    np.testing.assert_array_equal(tensor(samples, named), PIXELS)
    assert samples.labelled == labelled


@pytest.mark.parametrize(
    ("raw", "labels"),
    [
        pytest.param(np.array([[2], [0], [1]], dtype=np.uint8), np.array([2, 0, 1]), id="a column"),
        pytest.param(np.array([True, False, True]), np.array([1, 0, 1]), id="booleans"),
        pytest.param(np.eye(3, dtype=np.float32)[[2, 0, 1]], np.array([2, 0, 1]), id="one-hot floats"),
        pytest.param(np.eye(3, dtype=np.int64)[[2, 0, 1]], np.array([2, 0, 1]), id="one-hot integers"),
        pytest.param(np.ones((3, 1), np.float32), np.ones((3, 1), np.float32), id="a column of floats is a target"),
        pytest.param(np.array([1, 2, 3], dtype=">f8"), np.array([1.0, 2, 3]), id="big-endian targets"),
        pytest.param(np.full((3, 2), 0.5), np.full((3, 2), 0.5), id="rows that are not one-hot"),
    ],
)
def test_labels_of_many_forms(raw, labels):
    np.savez("x.npz", x=PIXELS[:3], y=raw)
    samples, _ = opened()
    written = np.load(samples.labels_file)
    np.testing.assert_array_equal(written, labels)
    assert written.dtype == labels.dtype.newbyteorder("<")


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        pytest.param(np.array([0, 2**24]), "float32", id="integers that a float holds exactly"),
        pytest.param(np.array([0.1, 2.5]), "float32", id="doubles are rounded"),
        pytest.param(np.array([1.5, 2.5], dtype=">f4"), "float32", id="big endian"),
        pytest.param(np.array([-(2**31), 2**31 - 1]), "int32", id="int64 in range"),
        pytest.param(np.array([0, 255], dtype=np.uint8), "int64", id="bytes to integers"),
        pytest.param(np.array([True, False]), "int32", id="booleans to integers"),
        pytest.param(np.array([0, 1], dtype=np.int32), "bool", id="zero and one to booleans"),
        pytest.param(np.array([2**63], dtype=np.uint64), "uint64", id="the same dtype is not looked at"),
    ],
)
def test_values_that_fit_another_dtype(values, dtype):
    np.savez("x.npz", x=values)
    samples, _ = opened(inputs=[TensorSpec("v", (None,), dtype)])
    np.testing.assert_array_equal(tensor(samples, "v"), values.astype(dtype))
    assert tensor(samples, "v").dtype == np.dtype(dtype).newbyteorder("<")


# What is refused


@pytest.mark.parametrize(
    ("arrays", "inputs", "message"),
    [
        pytest.param(
            {"x": PIXELS[..., 0]},
            [IMAGE],
            "the input 'image' expects samples of shape (4, 3, 1), but those of 'x.npz' have shape "
            "(4, 3); add the channel dimension with x[..., None]",
            id="no channel",
        ),
        pytest.param(
            {"x": PIXELS},
            [replace(IMAGE, shape=(None, 4, None))],
            "the input 'image' expects samples of shape (4, ?), but those of 'x.npz' have shape (4, "
            "3, 1); remove the channel dimension with x[..., 0]",
            id="a channel too many",
        ),
        pytest.param(
            {"x": np.zeros((2, 3, 8, 8))},
            [replace(IMAGE, shape=(None, 8, 8, 3))],
            "the input 'image' expects samples of shape (8, 8, 3), but those of 'x.npz' have shape "
            "(3, 8, 8); channels come first, so move them to the end with numpy.moveaxis(x, 1, -1)",
            id="channels first",
        ),
        pytest.param(
            {"x": np.zeros((2, 8, 8, 3))},
            [replace(IMAGE, shape=(None, 3, 8, 8))],
            "the input 'image' expects samples of shape (3, 8, 8), but those of 'x.npz' have shape "
            "(8, 8, 3); channels come last, so move them to the front with numpy.moveaxis(x, -1, 1)",
            id="channels last",
        ),
        pytest.param(
            {"x": np.zeros((2, 12))},
            [IMAGE],
            "the input 'image' expects samples of shape (4, 3, 1), but those of 'x.npz' have shape "
            "(12,); the number of values matches, so if their order does too, use x.reshape(-1, 4, "
            "3, 1)",
            id="flattened",
        ),
        pytest.param(
            {"x": np.zeros((2, 5, 5, 1))},
            [IMAGE],
            "the input 'image' expects samples of shape (4, 3, 1), but those of 'x.npz' have shape "
            "(5, 5, 1); give samples of the shape that the model was trained on",
            id="another size",
        ),
        pytest.param(
            {"x": np.float32(1)},
            [TensorSpec("v", (None,), "float32")],
            "'x.npz' holds no samples; give at least one, and several hundred for meaningful figures",
            id="a lone number",
        ),
        pytest.param(
            {"x": PIXELS[:0]},
            [IMAGE],
            "'x.npz' holds no samples; give at least one, and several hundred for meaningful figures",
            id="empty",
        ),
        pytest.param(
            {"x": np.zeros((2, 3))},
            [TensorSpec("ids", (None, 3), "int32")],
            "the input 'ids' expects int32, but 'x.npz' holds float64; if the values are integers, "
            "store them with .astype('int32')",
            id="floats for integers",
        ),
        pytest.param(
            {"x": np.array(["a", "b"])},
            [TensorSpec("v", (None,), "float32")],
            "the input 'v' expects float32, but 'x.npz' holds str32; give numbers or booleans",
            id="text for numbers",
        ),
        pytest.param(
            {"x": np.zeros(2)},
            [TensorSpec("v", (None,), "str")],
            "the input 'v' expects str, and samples can only be booleans, integers or floats; export "
            "the model with such an input",
            id="a model that takes text",
        ),
        pytest.param(
            {"x": np.array([0, 5, 2**24 + 1])},
            [TensorSpec("v", (None,), "float32")],
            "sample 2 (counted from 0) of 'x.npz' holds 16777217 in the input 'v', which expects "
            "float32, exact for integers from -16777216 to 16777216; scale the values to that range",
            id="an integer that a float rounds",
        ),
        pytest.param(
            {"x": np.array([[0, 1], [0, -(2**31) - 1]])},
            [TensorSpec("v", (None, 2), "int32")],
            "sample 1 (counted from 0) of 'x.npz' holds -2147483649 in the input 'v', which expects "
            "int32, exact for integers from -2147483648 to 2147483647; scale the values to that range",
            id="an integer out of range",
        ),
        pytest.param(
            {"x": np.array([2**64 - 1], dtype=np.uint64)},
            [TensorSpec("v", (None,), "int64")],
            "sample 0 (counted from 0) of 'x.npz' holds 18446744073709551615 in the input 'v', which "
            "expects int64, exact for integers from -9223372036854775808 to 9223372036854775807; scale the "
            "values to that range",
            id="an unsigned integer out of range",
        ),
        pytest.param(
            {"x": np.array([0, 1e39])},
            [TensorSpec("v", (None,), "float32")],
            "sample 1 (counted from 0) of 'x.npz' holds 1e+39 in the input 'v', which expects "
            "float32, where it would become infinite; scale the values",
            id="a float beyond the largest",
        ),
        pytest.param(
            {"x": np.array([[0, 1], [2, np.nan]])},
            [TensorSpec("v", (None, 2), "float32")],
            "sample 1 (counted from 0) of 'x.npz' holds NaN in the input 'v'; correct or remove it, "
            "since it would make every score invalid",
            id="NaN",
        ),
        pytest.param(
            {"x": np.array([0, 1, -np.inf], np.float32)},
            [TensorSpec("v", (None,), "float32")],
            "sample 2 (counted from 0) of 'x.npz' holds infinity in the input 'v'; correct or remove "
            "it, since it would make every score invalid",
            id="infinity",
        ),
        pytest.param(
            {"a": np.zeros(3), "b": np.zeros(2)},
            [TensorSpec("a", (None,), "float32"), TensorSpec("b", (None,), "float32")],
            "'x.npz' holds 3 samples of 'a' but 2 of 'b'; give the same number of samples for every input",
            id="inputs of different counts",
        ),
        pytest.param(
            {"x_test": PIXELS, "y_test": CLASSES},
            [IMAGE],
            "'x.npz' holds 'x_test', 'y_test', but the model's inputs are 'image'; name the arrays "
            "after the model's inputs, or 'x', and the labels 'y'",
            id="names that are not understood",
        ),
        pytest.param(
            {"x": PIXELS},
            [replace(IMAGE, name="left"), replace(IMAGE, name="right")],
            "'x.npz' holds 'x', but the model's inputs are 'left', 'right'; name the arrays after "
            "the model's inputs, and the labels 'y'",
            id="x where there are several inputs",
        ),
        pytest.param(
            {"x": PIXELS, "label": CLASSES},
            [IMAGE],
            "'x.npz' holds 'label', which is neither an input of the model ('image') nor labels; "
            "name the labels 'y', or leave out arrays that are not needed",
            id="what may be labels under another name",
        ),
        pytest.param(
            {"x": PIXELS, "y": CLASSES[:9]},
            [IMAGE],
            "'x.npz' holds 10 samples but 9 labels; give one label per sample",
            id="a label too few",
        ),
        pytest.param(
            {"x": PIXELS, "y": np.array(["cat"] * 10)},
            [IMAGE],
            "the labels of 'x.npz' are str96; give class numbers from 0, or floats for regression",
            id="labels in words",
        ),
        pytest.param(
            {"x": PIXELS, "y": np.zeros((10, 0), int)},
            [IMAGE],
            "the labels of 'x.npz' have the shape (10, 0) and hold no class; give labels",
            id="no position",
        ),
        pytest.param(
            {"x": PIXELS, "y": np.full((10, 3), 2**63, np.uint64)},
            [IMAGE],
            "the label 9223372036854775808 of 'x.npz' is too large for a class number; number the classes from 0",
            id="a class number that is too large",
        ),
        pytest.param(
            {"x": PIXELS, "y": np.full(10, 2**63, np.uint64)},
            [IMAGE],
            "the label 9223372036854775808 of 'x.npz' is too large for a class number; number the classes from 0",
            id="a class of samples that is too large",
        ),
        pytest.param(
            {"x": PIXELS, "y": np.where(CLASSES, np.nan, 1.0)},
            [IMAGE],
            "label 1 (counted from 0) of 'x.npz' holds NaN or infinity; correct or remove that sample",
            id="a target that is NaN",
        ),
        pytest.param(
            {"x": np.array([None, 1])},
            [IMAGE],
            "'x.npz' cannot be read (the array 'x' holds Python objects, which are never unpickled); "
            "it is truncated or does not hold plain arrays, so write it again with numpy.savez",
            id="pickles",
        ),
    ],
)
def test_arrays_that_do_not_fit(arrays, inputs, message):
    np.savez("x.npz", **arrays)
    with pytest.raises(SamplesError) as refusal:
        opened(inputs=inputs)
    assert str(refusal.value) == message
    assert not list(Path().glob("study/**/*.npy"))


@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((-1,), id="as many as there are"),
        pytest.param((10, -4, 3, 1), id="of an axis inside"),
        pytest.param((-10, -12), id="a product above zero"),
    ],
)
def test_a_header_with_a_negative_size_is_refused(name, shape):
    """Its product is below the limit for what is read at once, and a count of −1 reads all there is."""
    np.savez("x.npz", x=PIXELS, y=CLASSES)
    with zipfile.ZipFile("x.npz") as good, zipfile.ZipFile("bad.npz", "w") as bad:
        for member in good.namelist():
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": shape})
            changed = member == f"{name}.npy"
            bad.writestr(member, header.getvalue() + bytes(1000) if changed else good.read(member))
    with pytest.raises(SamplesError) as refusal:
        opened("bad.npz")
    assert str(refusal.value) == (
        f"'bad.npz' cannot be read (the array '{name}' has the shape {shape} in its header); it is truncated or does "
        f"not hold plain arrays, so write it again with numpy.savez"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "tset.npz",
            f"there is no 'tset.npz'; samples can be {ACCEPTED}; did you mean 'test.npz'?",
            id="a slip of the pen",
        ),
        pytest.param(
            "nowhere/x.npz",
            f"there is no 'nowhere/x.npz', and no folder 'nowhere'; give {ACCEPTED}",
            id="no such folder",
        ),
        pytest.param(
            "qqq",
            f"there is no 'qqq'; samples can be {ACCEPTED}; choose from 'broken.npz', 'empty.npy', 'test.npz'",
            id="nothing like it",
        ),
        pytest.param(
            "words.odt",
            f"'words.odt' is not a kind of samples that quantlab can read; give {ACCEPTED}",
            id="another kind of file",
        ),
        pytest.param(
            "broken.npz",
            "'broken.npz' cannot be read (File is not a zip file); it is truncated or does not hold "
            "plain arrays, so write it again with numpy.savez",
            id="a truncated npz",
        ),
        pytest.param(
            "empty.npy",
            "'empty.npy' cannot be read (No data left in file); "
            "it is truncated or not a plain array, so write it again with numpy.save",
            id="an empty npy",
        ),
    ],
)
def test_what_holds_no_samples(text, message):
    np.savez("test.npz", x=PIXELS)
    Path("broken.npz").write_bytes(Path("test.npz").read_bytes()[:100])
    Path("empty.npy").touch()
    Path("words.odt").write_text("a,b")
    with pytest.raises(SamplesError) as refusal:
        opened(text)
    assert str(refusal.value) == message


def test_an_npz_damaged_inside_is_refused():
    np.savez_compressed("x.npz", x=np.random.default_rng(0).integers(0, 255, (10, 4, 3, 1)))
    data = bytearray(Path("x.npz").read_bytes())
    data[200:220] = bytes(20)
    Path("x.npz").write_bytes(data)
    with pytest.raises(SamplesError, match=r"^'x\.npz' cannot be read \(.+\); it is truncated or does not hold plain"):
        opened()


@pytest.mark.parametrize("n", [0, 3])
def test_an_npy_that_is_too_short_is_refused(n):
    np.save("x.npy", PIXELS)
    Path("x.npy").write_bytes(Path("x.npy").read_bytes()[: 128 + n])
    with pytest.raises(SamplesError, match=r"^'x\.npy' cannot be read \(.+\); it is truncated or not a plain"):
        opened("x.npy")


def test_an_npy_without_samples_is_refused():
    np.save("x.npy", PIXELS[:0])
    with pytest.raises(SamplesError, match=r"^'x\.npy' holds no samples;"):
        opened("x.npy")


def test_an_npy_cannot_feed_two_inputs():
    np.save("x.npy", PIXELS)
    with pytest.raises(SamplesError) as refusal:
        opened("x.npy", inputs=[IMAGE, replace(IMAGE, name="other")])
    assert str(refusal.value) == (
        "'x.npy' is a .npy file for a single input, but the model has the inputs 'image', "
        "'other'; give a .npz file with an array for each, or a module:function that returns "
        "them by name"
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        pytest.param(
            "y.csv",
            "label\n1\n",
            "line 1 of 'y.csv' is 'label'; each line must hold one number, without a header",
            id="a header",
        ),
        pytest.param(
            "missing.txt",
            None,
            "the labels in 'missing.txt' cannot be read ([Errno 2] No such file or directory: "
            "'missing.txt'); give a .npy file, or text with one number per line",
            id="missing",
        ),
        pytest.param("y.txt", "1\n2\n", "'x.npy' holds 10 samples but 2 labels; give one label per sample", id="few"),
    ],
)
def test_label_files_that_do_not_fit(name, text, message):
    np.save("x.npy", PIXELS)
    if text is not None:
        Path(name).write_text(text)
    with pytest.raises(SamplesError) as refusal:
        opened("x.npy", labels=name)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"labels": "y.npy"},
            "'x.npz' already has labels, and 'y.npy' gives labels too; leave one of them out",
            id="labels twice",
        ),
        pytest.param(
            {"limit": 0}, "the limit is 0, and at least 1 sample must be scored; give more, or no limit", id="limit 0"
        ),
        pytest.param({"seed": -1}, "the seed is -1; give 0 or a positive number", id="a negative seed"),
        pytest.param(
            {"preprocessing": Preprocessing(scale=0.5)},
            "preprocessing options are given, but 'x.npz' is not a folder of images, and arrays are "
            "not preprocessed; leave the options out, or apply the preprocessing to the arrays",
            id="a preprocessing for arrays",
        ),
        pytest.param(
            {"calibration": "./x.npz"},
            "'x.npz' is given both as samples and as calibration samples, but calibration samples "
            "must not be scored; leave --calibration out, and quantlab sets a part of the samples "
            "aside",
            id="calibrated on what is scored",
        ),
    ],
)
def test_options_that_contradict(options, message):
    np.savez("x.npz", x=PIXELS, y=CLASSES)
    with pytest.raises(UsageError) as refusal:
        opened(**options)
    assert str(refusal.value) == message


def test_a_disk_that_is_too_small_is_said_before_anything_is_read():
    # A sparse file: it claims 4 TB and holds next to nothing.
    np.lib.format.open_memmap("x.npy", mode="w+", dtype=np.uint8, shape=(4000, 10**9))
    with pytest.raises(SamplesError) as refusal:
        opened("x.npy", inputs=[TensorSpec("v", (None, None), "float32")])
    start, _, rest = str(refusal.value).partition(", but only ")
    assert start == "the samples need 16,000.00 GB in 'study'"
    assert rest.endswith(" GB are free; free some space, choose another folder with --out, or score fewer with --limit")


# What is drawn


def test_a_limit_on_sorted_data_holds_every_class_alike(fashion):
    spec = TensorSpec("image", (None, 28, 28, 1), "float32")
    source = str(fashion / "test.npz")
    samples, calibration = opened(source, inputs=[spec], limit=1000, calibrate=256)
    labels, calibration_labels = np.load(samples.labels_file), np.load(calibration.labels_file)
    assert np.bincount(labels).tolist() == [100] * 10
    assert np.bincount(calibration_labels).tolist() == [26] * 6 + [25] * 4
    assert not set(positions(samples)) & set(positions(calibration))
    with np.load(source) as data:
        for sample_set in (samples, calibration):
            np.testing.assert_array_equal(tensor(sample_set), data["x"][positions(sample_set)])
            np.testing.assert_array_equal(np.load(sample_set.labels_file), data["y"][positions(sample_set)])


def test_more_than_one_block_is_written_in_the_order_in_which_it_is_scored():
    values = np.arange(3000, dtype=np.int64).repeat(12).reshape(3000, 4, 3, 1)
    values[7] = values[2999]  # a copy, which is found wherever it lies
    np.savez("x.npz", x=values, y=np.arange(3000) % 3)
    parts = opened_parts(limit=2500, calibrate=256)
    samples = parts.scored
    assert samples.n == 2500
    assert not (np.diff(positions(samples)) > 0).all()
    np.testing.assert_array_equal(tensor(samples), values[positions(samples)])
    np.testing.assert_array_equal(np.load(samples.labels_file), positions(samples) % 3)
    assert samples_sha256(samples) == samples.sha256
    assert intact_origins(samples) == "intact"
    assert [(pair.sample, pair.of) for pair in parts.duplicates.pairs] in ([(7, 2999)], [(2999, 7)])
    smaller = opened_parts(limit=1000, calibrate=256).scored
    np.testing.assert_array_equal(tensor(samples)[:1000], tensor(smaller))


def test_blocks_of_a_source_are_written_to_their_places():
    specs = (TensorSpec("a", (None, 2), "float32"), TensorSpec("b", (None, 0), "int32"))
    arrays = {"a": np.arange(60, dtype=np.float64).reshape(30, 2), "b": np.zeros((30, 0), np.int8)}
    held = tuple(HeldTensor(name, values.shape, values.dtype) for name, values in arrays.items())

    def read(indices):
        for piece in pieces(indices, 7):
            yield {name: values[piece] for name, values in arrays.items()}

    source = Source("made", 30, held, np.arange(30), read)
    order = np.random.default_rng(0).permutation(30)
    parts = [Part("data", order[:20], "mixed"), Part("search", np.sort(order[20:]), "sorted")]
    mixed, ascending = write_samples(source, parts, inputs=specs, folder=Path("study"))
    np.testing.assert_array_equal(tensor(mixed, "a"), arrays["a"][order[:20]])
    np.testing.assert_array_equal(tensor(ascending, "a"), arrays["a"][np.sort(order[20:])])
    assert tensor(mixed, "b").shape == (20, 0)
    np.testing.assert_array_equal(np.load(mixed.labels_file), order[:20])
    assert [samples_sha256(one) for one in (mixed, ascending)] == [mixed.sha256, ascending.sha256]


def test_what_samples_are_made_of_stands_in_their_order():
    spec, values = TensorSpec("x", (None, 2), "float32"), np.arange(80, dtype=np.float32).reshape(40, 2)
    order = np.random.default_rng(0).permutation(40)
    reads = []

    def read(indices):
        reads.extend(indices.tolist())
        yield {"x": values[indices]}

    def written(n, folder):
        source = Source("made", 40, (HeldTensor("x", (40, 2), values.dtype),), None, read, made_of=made_of)
        (samples,) = write_samples(source, [Part("data", order[:n], "mixed")], inputs=[spec], folder=Path(folder))
        return samples

    def made_of(indices):
        return np.stack([indices, 7 * indices + 1], axis=1).astype(np.uint64)

    first = written(20, "study")
    np.testing.assert_array_equal(np.load(first.folder / "made-of.npy"), made_of(order[:20]))
    reads.clear()
    grown = written(30, "study")
    assert reads == sorted(order[20:30].tolist())
    fresh = written(30, "fresh")
    files = sorted(path.name for path in fresh.folder.iterdir())
    assert files == ["indices.npy", "input-x.npy", "made-of.json", "made-of.npy"]
    assert [(grown.folder / name).read_bytes() for name in files] == [
        (fresh.folder / name).read_bytes() for name in files
    ]


def test_a_disk_that_is_full_while_samples_are_written_is_an_error():
    np.savez("x.npz", x=np.zeros((3000, 4, 3, 1)))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*/input-image\.npy'"):
            opened(limit=2500)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(Path("study").rglob("*.npy")) == []


@pytest.mark.parametrize(
    ("n", "calibrate", "limit", "labelled", "expected"),
    [
        pytest.param(600, 0, None, True, ("all", 600, None, None), id="all of it"),
        pytest.param(
            600, 256, None, True, ("stratified, seed 7", 344, "stratified, seed 7", 256), id="a part set aside"
        ),
        pytest.param(600, 256, 50, False, ("random, seed 7", 50, "random, seed 7", 256), id="without labels"),
        pytest.param(600, 0, 600, True, ("all", 600, None, None), id="a limit that takes all"),
        pytest.param(
            511,
            256,
            None,
            True,
            (
                "stratified, seed 7",
                384,
                "stratified, seed 7; a quarter of the samples, because 256 would be more than half of 511",
                127,
            ),
            id="too few for a whole part",
        ),
        pytest.param(
            2,
            256,
            None,
            False,
            (
                "random, seed 7",
                1,
                "random, seed 7; a quarter of the samples, because 256 would be more than half of 2",
                1,
            ),
            id="one each",
        ),
    ],
)
def test_how_a_set_is_split(n, calibrate, limit, labelled, expected):
    arrays = {"y": np.arange(n) % 5} if labelled else {}
    np.savez("x.npz", x=np.arange(n), **arrays)
    source = open_source("x.npz", inputs=[TensorSpec("v", (None,), "int64")], options=SampleOptions())
    parts = split(source, options=SampleOptions(limit=limit, seed=7), calibrate=calibrate)
    calibration = (parts.calibration.drawn, len(parts.calibration.indices)) if parts.calibration else (None, None)
    assert (parts.scored.drawn, len(parts.scored.indices), *calibration) == expected
    assert parts.search is None


def test_one_sample_cannot_be_both():
    np.savez("x.npz", x=PIXELS[:1])
    with pytest.raises(SamplesError) as refusal:
        opened(calibrate=256)
    assert str(refusal.value) == (
        "'x.npz' holds one sample, which cannot be used for both calibration and scoring; give "
        "more samples, or separate ones with --calibration"
    )


def test_calibration_samples_that_are_given_are_all_taken():
    np.savez("x.npz", x=PIXELS, y=CLASSES)
    np.savez("other.npz", x=PIXELS[::-1] + 1)
    samples, calibration = opened(calibration="other.npz", calibrate=256, limit=4)
    assert (samples.n, samples.drawn, calibration.n, calibration.drawn) == (4, "stratified, seed 0", 10, "all")
    assert calibration.folder.parent == Path("study/calibration")
    np.testing.assert_array_equal(tensor(calibration), PIXELS[::-1] + 1)


LABELS = st.lists(st.integers(-3, 6), min_size=1, max_size=200).map(np.array)
SEEDS = st.integers(0, 2**32)


@given(labels=LABELS, share=st.floats(0, 1), seed=SEEDS)
def test_each_class_gets_its_share_to_within_one(labels, share, seed):
    n, count = len(labels), round(share * len(labels))
    drawn = draw(count, n=n, labels=labels, seed=seed)
    assert len(drawn) == count
    assert (np.diff(drawn) > 0).all()
    for label in np.unique(labels):
        assert abs((labels[drawn] == label).sum() - count * (labels == label).sum() / n) < 1


@given(labels=LABELS, seed=SEEDS)
def test_a_draw_is_the_same_for_a_seed_and_ignores_what_classes_are_called(labels, seed):
    arguments = {"n": len(labels), "seed": seed}
    drawn = draw(len(labels) // 2, labels=labels, **arguments)
    np.testing.assert_array_equal(drawn, draw(len(labels) // 2, labels=labels * 10 + 5, **arguments))


@given(labels=LABELS, seed=SEEDS)
def test_a_larger_draw_keeps_what_a_smaller_one_had_of_one_class(labels, seed):
    arguments = {"n": len(labels), "labels": None, "seed": seed}
    assert set(draw(len(labels) // 3, **arguments)) <= set(draw(len(labels) // 2, **arguments))


def test_two_streams_of_a_seed_differ():
    assert not np.array_equal(*(draw(50, n=100, labels=None, seed=0, stream=stream) for stream in (0, 1)))


@given(labels=LABELS.filter(lambda labels: len(labels) > 1), calibrate=st.integers(1, 150), seed=SEEDS)
def test_scored_and_calibration_parts_make_the_whole(tmp_path_factory, labels, calibrate, seed):
    path = tmp_path_factory.mktemp("split") / "x.npz"
    np.savez(path, x=np.arange(len(labels)), y=labels)
    source = open_source(str(path), inputs=[TensorSpec("v", (None,), "int64")], options=SampleOptions())
    parts = split(source, options=SampleOptions(seed=seed), calibrate=calibrate)
    scored, aside = parts.scored.indices, parts.calibration.indices
    np.testing.assert_array_equal(np.sort([*scored, *aside]), np.arange(len(labels)))
    limited = split(source, options=SampleOptions(seed=seed, limit=1), calibrate=calibrate)
    np.testing.assert_array_equal(limited.calibration.indices, aside)
    assert set(limited.scored.indices) <= set(scored)


@given(labels=LABELS.filter(lambda labels: len(labels) > 8), calibrate=st.integers(0, 150), seed=SEEDS)
def test_what_is_searched_on_is_a_third_of_what_is_not_calibrated_on(tmp_path_factory, labels, calibrate, seed):
    path = tmp_path_factory.mktemp("split") / "x.npz"
    np.savez(path, x=np.arange(len(labels)), y=labels)
    source = open_source(str(path), inputs=[TensorSpec("v", (None,), "int64")], options=SampleOptions())
    without = split(source, options=SampleOptions(seed=seed), calibrate=calibrate)
    parts = split(source, options=SampleOptions(seed=seed, search=True), calibrate=calibrate)
    assert [part.indices.tolist() for part in parts.all[1:-1]] == [part.indices.tolist() for part in without.all[1:]]
    rest = without.scored.indices
    assert len(parts.search.indices) == min(len(rest) // 3, SEARCH_SAMPLES)
    np.testing.assert_array_equal(np.sort([*parts.scored.indices, *parts.search.indices]), rest)


def test_a_search_needs_samples_of_its_own():
    np.savez("x.npz", x=PIXELS[:3], y=CLASSES[:3])
    with pytest.raises(SamplesError) as refusal:
        opened(calibrate=1, search=True)
    assert str(refusal.value) == (
        "'x.npz' leaves 2 samples, which cannot be divided into samples for the search and others for the verdict; "
        "give at least 3, and several hundred for meaningful figures"
    )


# What is written


def test_the_same_call_finds_what_it_wrote():
    np.savez("x.npz", x=PIXELS, y=CLASSES)
    first = opened(calibrate=2, limit=4)
    before = {path: path.stat().st_mtime_ns for path in Path("study").rglob("*.npy")}
    assert opened(calibrate=2, limit=4) == first
    assert {path: path.stat().st_mtime_ns for path in Path("study").rglob("*.npy")} == before
    assert sorted(path.name for path in Path("study").iterdir()) == ["calibration", "data"]


@pytest.mark.parametrize(
    ("arrays", "dtype", "same"),
    [
        pytest.param({"x": PIXELS.astype(np.int64), "y": CLASSES}, "float32", True, id="another dtype in the source"),
        pytest.param({"image": PIXELS, "y": np.eye(2)[CLASSES]}, "float32", True, id="another name and form"),
        pytest.param({"x": PIXELS, "y": 1 - CLASSES}, "float32", False, id="other labels"),
        pytest.param({"x": PIXELS}, "float32", False, id="no labels"),
        pytest.param({"x": PIXELS[::-1], "y": CLASSES}, "float32", False, id="another order"),
        pytest.param({"x": PIXELS, "y": CLASSES}, "uint8", False, id="another dtype in the model"),
    ],
)
def test_the_hash_is_of_what_is_fed(arrays, dtype, same):
    np.savez("x.npz", x=PIXELS, y=CLASSES)
    first, _ = opened()
    np.savez("x.npz", **arrays)
    second, _ = opened(inputs=[replace(IMAGE, dtype=dtype)])
    assert (first.sha256 == second.sha256) == same


@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
def test_arrays_that_are_written_again_before_they_are_read_are_refused(name, tmp_path):
    path = tmp_path / name

    def write(values):
        if name.endswith("z"):
            np.savez(path, x=values, y=CLASSES)
        else:
            np.save(path, values)

    write(PIXELS)
    source = open_source(str(path), inputs=(IMAGE,), options=SampleOptions())
    assert len(list(source.read(np.arange(10)))) == 1
    written = path.stat().st_mtime_ns
    write(PIXELS[::-1])
    os.utime(path, ns=(written + 1_000_000, written + 1_000_000))
    with pytest.raises(SamplesError) as refused:
        list(source.read(np.arange(10)))
    assert str(refused.value) == (
        f"'{path}' changed while it was read, but every runtime must be fed the same samples; run the command again "
        f"when nothing writes to it"
    )


def test_parts_are_written_in_one_reading():
    np.savez("x.npz", x=PIXELS)
    source = open_source("x.npz", inputs=[IMAGE], options=SampleOptions())
    readings = []

    def read(indices):
        readings.append(indices.tolist())
        yield from source.read(indices)

    parts = [
        Part("data", np.array([1, 8]), "random, seed 0"),
        Part("calibration", np.array([0, 5, 9]), "random, seed 0"),
    ]
    written = write_samples(replace(source, read=read), parts, inputs=[IMAGE], folder=Path("study"))
    assert readings == [[0, 1, 5, 8, 9]]
    for sample_set, part in zip(written, parts, strict=True):
        np.testing.assert_array_equal(tensor(sample_set), PIXELS[part.indices])


def test_nothing_is_left_behind_by_a_failure():
    np.savez("x.npz", x=np.where(PIXELS == 119, np.nan, PIXELS))
    with pytest.raises(SamplesError):
        opened()
    assert list(Path("study").iterdir()) == []


def test_what_killed_commands_left_is_removed():
    left = [Path("study/.writing-a1/data/input-image.npy"), Path("study/.downloading-b2/samples.npz")]
    kept = [Path(".writing-c3/x.npy"), Path("study/data/.writing-d4/x.npy"), Path("study/.writing-e5"), Path("own/x")]
    for file in [*left, *kept]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    Path("study/.writing-link").symlink_to(Path("own").absolute())
    np.savez("x.npz", x=PIXELS, y=CLASSES)
    opened()
    assert [file for file in [*left, *kept] if file.exists()] == kept
    assert not any(file.parent.exists() for file in left)


# Labels against the scored output


@pytest.mark.parametrize(
    ("labels", "shape"),
    [
        pytest.param(np.array([0, 9]), (None, 10), id="every class"),
        pytest.param(np.array([0, 1]), (None, 1), id="binary"),
        pytest.param(np.array([0, 1000]), (None, None), id="open width"),
        pytest.param(np.array([0.5, 3]), (None, 1), id="a target each"),
        pytest.param(np.zeros((2, 5)), (None, 5), id="targets of the output's shape"),
    ],
)
def test_labels_that_fit(labels, shape):
    check_labels(labels, TensorSpec("probs", shape, "float32"))


MAP = np.array([[[0, 2], [255, -1]]])


@pytest.mark.parametrize(
    ("labels", "shape", "dtype"),
    [
        pytest.param(MAP, (None, 2, 2, 3), "float32", id="a label map"),
        pytest.param(MAP, (None, None, None, 3), "float32", id="a label map of open size"),
        pytest.param(MAP, (None, 2, 2), "int64", id="class numbers of pixels"),
        pytest.param(MAP, (None, 2, 2, 1), "int32", id="class numbers of pixels with a last axis"),
        pytest.param(np.array([[0, 1, -1]]), (None, 3, 1), "float32", id="a binary sequence"),
        pytest.param(np.array([[0, 1, 1]]), (None, 3), "float32", id="several yes or no for each sample"),
        pytest.param(np.array([[0, 3, 3]]), (None, 3, 4), "float32", id="a sequence"),
        pytest.param(np.array([0, 7]), (None,), "int64", id="a class number for each sample"),
        pytest.param(np.array([0, 7]), (None, 1), "int32", id="a class number with a last axis"),
    ],
)
def test_labels_of_positions_that_fit(labels, shape, dtype):
    check_labels(labels, TensorSpec("map", shape, dtype))


@pytest.mark.parametrize(
    ("labels", "shape", "dtype", "message"),
    [
        pytest.param(
            MAP,
            (None, 3, 2, 3),
            "float32",
            "the labels are classes of shape (2, 2) per sample, but the output 'map' has shape (3, 2, 3); give classes "
            "of shape (3, 2), or store regression targets as floats",
            id="another size",
        ),
        pytest.param(
            np.array([[0, 7]]),
            (None, 2),
            "float32",
            "the labels go up to 7, but the output 'map' has 2 classes for each position; number the classes from 0 to "
            "1, or store regression targets as floats",
            id="integers that are no classes",
        ),
        pytest.param(
            np.full((2, 2, 2), 255),
            (None, 2, 2, 3),
            "float32",
            "no position has a label that is scored; give labels from 0",
            id="nothing is scored",
        ),
        pytest.param(
            np.array([0, 1]),
            (None, 12, 4),
            "float32",
            "the labels are one class per sample, but the output 'map' has shape (12, 4) per sample; give a class for "
            "each position, of shape (12,) (if its rows hold a single 1, add a last axis of size 1)",
            id="one-hot rows that are sequences",
        ),
        pytest.param(
            np.array([0, 1]),
            (None, 12),
            "int32",
            "the labels are one class per sample, but the output 'map' has shape (12,); give classes of shape (12,), "
            "or store regression targets as floats",
            id="a class for each sample, and several numbers",
        ),
        pytest.param(
            np.array([-1, 1]),
            (None,),
            "int32",
            "the label -1 is below 0; number the classes from 0",
            id="minus one",
        ),
    ],
)
def test_labels_of_positions_that_do_not_fit(labels, shape, dtype, message):
    with pytest.raises(SamplesError) as refusal:
        check_labels(labels, TensorSpec("map", shape, dtype))
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        pytest.param(np.zeros((10, 2, 2), np.uint8), np.zeros((10, 2, 2), "<i2"), id="a label map"),
        pytest.param(np.full((10, 2, 1), 40_000), np.full((10, 2), 40_000, "<i4"), id="a last axis of size 1"),
        pytest.param(np.ones((10, 3), bool), np.ones((10, 3), "<i2"), id="several yes or no"),
        pytest.param(np.tile(np.eye(3, dtype="f4"), (10, 1, 1)), np.tile(np.arange(3), (10, 1)), id="one-hot floats"),
    ],
)
def test_labels_of_positions_are_kept_narrow(raw, stored):
    np.savez("x.npz", x=PIXELS, y=raw)
    written, _ = opened()
    labels = np.load(written.labels_file)
    np.testing.assert_array_equal(labels, stored[np.load(written.folder / "indices.npy")])
    assert (labels.dtype, written.drawn) == ("<i2" if stored.dtype == np.int64 else stored.dtype, "all")


def test_a_label_that_is_not_scored_becomes_minus_one():
    np.savez("x.npz", x=PIXELS, y=np.tile([3, 0, 0, 7], (10, 1)))
    (written, _) = open_samples(
        "x.npz", None, model_inputs=(IMAGE,), folder=Path("study"), options=SampleOptions(ignore_label=0), calibrate=0
    )
    assert np.load(written.labels_file)[0].tolist() == [3, -1, -1, 7]


@pytest.mark.parametrize(
    ("arrays", "has"),
    [
        pytest.param({"y": np.arange(10)}, "other labels", id="a class for each sample"),
        pytest.param({"y": np.zeros((10, 3)) + 0.5}, "other labels", id="numbers"),
        pytest.param({}, "no labels", id="no labels"),
    ],
)
def test_only_labels_of_positions_can_be_ignored(arrays, has):
    np.savez("x.npz", x=PIXELS, **arrays)
    with pytest.raises(UsageError) as refusal:
        open_source("x.npz", inputs=[IMAGE], options=SampleOptions(ignore_label=0))
    assert str(refusal.value) == (
        f"--ignore-label 0 needs a class for each position, such as pixels or steps, and 'x.npz' has {has}; leave it "
        f"out"
    )


@pytest.mark.parametrize(
    ("labels", "shape", "message"),
    [
        pytest.param(
            np.array([0, 12, 3]),
            (None, 10),
            "the labels go from 0 to 12, but the output 'probs' has 10 classes; number the classes from 0 to 9",
            id="too many classes",
        ),
        pytest.param(
            np.array([-1, 1]),
            (None, 1),
            "the labels go from -1 to 1, but the output 'probs' has 2 classes; number the classes from 0 to 1",
            id="binary as minus and plus one",
        ),
        pytest.param(
            np.zeros((2, 3)),
            (None, 10),
            "the labels are float64 of shape (3,) per sample, but the output 'probs' has shape "
            "(10,); give targets of that shape, or integers if they are classes",
            id="targets of another shape",
        ),
    ],
)
def test_labels_that_do_not_fit(labels, shape, message):
    with pytest.raises(SamplesError) as refusal:
        check_labels(labels, TensorSpec("probs", shape, "float32"))
    assert str(refusal.value) == message
