"""Files of records as samples: one file, several, compressed, described, and malformed."""

import datetime as dt
import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from record_files import DIGIT, WRITERS, arrow, digits, example, framed, npy, png, varint, write_csv, write_tar
from record_files import message as bytes_field

from quantlab.errors import SamplesError, UsageError
from quantlab.samples import SampleOptions, files_named, labels_of, open_samples, open_source, refuse_missing
from quantlab.samples.records import RECORD_FORMATS, refuse_absent
from quantlab.types import Preprocessing, TensorSpec

IMAGES = {".tar", ".tfrecord"}
"""Formats whose files hold images in these tests, which are resized."""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def opened(data, *inputs, **options):
    samples, _ = open_samples(
        data, None, model_inputs=inputs or (DIGIT,), folder=Path("study"), options=SampleOptions(**options), calibrate=0
    )
    return samples


def write_npz(x, y):
    np.savez("digits.npz", x=x, y=y)
    return "digits.npz"


def refused(data, *inputs, error=SamplesError, **options):
    with pytest.raises(error) as refusal:
        opened(data, *inputs, **options)
    return str(refusal.value)


def test_every_format_is_tried():
    assert {suffix for one in RECORD_FORMATS.values() for suffix in one.suffixes} - {".ndjson", ".tfrecords"} == set(
        WRITERS
    )


@pytest.mark.parametrize("limit", [None, 23])
@pytest.mark.parametrize("suffix", WRITERS)
def test_the_samples_are_those_of_the_arrays(suffix, limit):
    x, y = digits()
    WRITERS[suffix](Path(f"digits{suffix}"), x, y)
    assert opened(f"digits{suffix}", limit=limit).sha256 == opened(write_npz(x, y), limit=limit).sha256


@pytest.mark.parametrize("data", ["shards/*{suffix}", "shards/{{0..2}}{suffix}"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_shards_are_one_source(suffix, data):
    x, y = digits()
    Path("shards").mkdir()
    for shard, (begin, end) in enumerate(((0, 20), (20, 25), (25, 60))):
        WRITERS[suffix](Path(f"shards/{shard}{suffix}"), x[begin:end], y[begin:end])
    assert opened(data.format(suffix=suffix), limit=30).sha256 == opened(write_npz(x, y), limit=30).sha256


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_compressed_file(suffix):
    x, y = digits()
    WRITERS[suffix](Path(f"plain{suffix}"), x, y)
    Path(f"digits{suffix}.gz").write_bytes(gzip.compress(Path(f"plain{suffix}").read_bytes()))
    assert opened(f"digits{suffix}.gz", limit=9).sha256 == opened(write_npz(x, y), limit=9).sha256


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_larger_subset_contains_the_smaller_one(suffix):
    x, y = digits()
    for shard, (begin, end) in enumerate(((0, 31), (31, 60))):
        WRITERS[suffix](Path(f"{shard}{suffix}"), x[begin:end], y[begin:end])
    small, large = (
        set(np.load(opened(f"*{suffix}", limit=limit).folder / "indices.npy").tolist()) for limit in (12, 30)
    )
    assert len(small) == 12
    assert small < large


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_that_changes_between_the_passes_is_refused(suffix):
    x, y = digits()
    path = Path(f"digits{suffix}")
    WRITERS[suffix](path, x, y)
    source = open_source(str(path), inputs=(DIGIT,), options=SampleOptions())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(SamplesError) as refusal:
        list(source.read(np.arange(60)))
    assert str(refusal.value) == (
        f"'{path}' changed while it was read, but every runtime must be fed the same samples; run the command again "
        f"when nothing writes to it"
    )


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_that_is_removed_between_the_passes_is_named(suffix):
    path = Path(f"digits{suffix}")
    WRITERS[suffix](path, *digits())
    source = open_source(str(path), inputs=(DIGIT,), options=SampleOptions())
    path.unlink()
    with pytest.raises(SamplesError) as refused:
        list(source.read(np.arange(5)))
    assert str(refused.value) == (
        f"'{path}' was removed while the command ran, and is read more than once; put it back, and run the command "
        f"again"
    )


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_repeated_shard_is_refused(suffix):
    x, y = digits(20)
    for name in ("a", "b"):
        WRITERS[suffix](Path(f"{name}{suffix}"), x, y)
    assert refused(f"*{suffix}").startswith(
        f"'b{suffix}' and 'a{suffix}' hold the same bytes, so that every sample would count twice; leave one of them "
        f"out ("
    )


@pytest.mark.parametrize("suffix", WRITERS)
def test_an_empty_shard_is_named(suffix):
    x, y = digits(20)
    WRITERS[suffix](Path(f"a{suffix}"), x, y)
    WRITERS[suffix](Path(f"b{suffix}"), x[:0], y[:0])
    assert refused(f"*{suffix}") == f"'b{suffix}' holds no samples; write it again, or leave it out"


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_without_bytes_is_named(suffix):
    x, y = digits(20)
    WRITERS[suffix](Path(f"a{suffix}"), x, y)
    Path(f"b{suffix}").write_bytes(b"")
    assert refused(f"*{suffix}").startswith(f"'b{suffix}' ")


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_truncated_shard_is_named(suffix):
    x, y = digits()
    WRITERS[suffix](Path(f"a{suffix}"), x[:20], y[:20])
    WRITERS[suffix](Path(f"b{suffix}"), x[20:], y[20:])
    content = Path(f"b{suffix}").read_bytes()
    Path(f"b{suffix}").write_bytes(content[: len(content) * 2 // 3 - 1])
    assert refused(f"*{suffix}").startswith(f"'b{suffix}' cannot be read (")


@pytest.mark.parametrize("suffix", sorted(set(WRITERS) - IMAGES))
def test_a_shard_of_another_shape_is_named(suffix):
    x, y = digits()
    WRITERS[suffix](Path(f"a{suffix}"), x[:20], y[:20])
    WRITERS[suffix](Path(f"b{suffix}"), x[20:, 1:], y[20:])
    assert "'b" in refused(f"*{suffix}")


UNLABELLED = {
    ".csv": lambda path, x: write_csv(path, x, None),
    ".tsv": lambda path, x: write_csv(path, x, None, "\t"),
    ".jsonl": lambda path, x: path.write_text("".join(json.dumps({"image": one.tolist()}) + "\n" for one in x)),
    ".tar": lambda path, x: write_tar(path, {f"{place:05d}": {"png": png(one)} for place, one in enumerate(x)}),
    ".tfrecord": lambda path, x: path.write_bytes(b"".join(framed(example({"image": png(one)})) for one in x)),
    ".parquet": lambda path, x: arrow().parquet.write_table(arrow().table({"image": x.tolist()}), path),
}
"""Suffix → function that writes samples without labels to a file."""

LABEL = {".tar": "cls"}


@pytest.mark.parametrize("suffix", WRITERS)
def test_labels_that_a_later_shard_lacks(suffix):
    x, y = digits(8)
    WRITERS[suffix](Path(f"a{suffix}"), x[:4], y[:4])
    UNLABELLED[suffix](Path(f"b{suffix}"), x[4:])
    assert refused(f"*{suffix}") == (
        f"record 0 (counted from 0) of 'b{suffix}' has no label '{LABEL.get(suffix, 'label')}'; give labels for all "
        f"samples or for none"
    )


@pytest.mark.parametrize("suffix", WRITERS)
def test_labels_that_the_first_shard_lacks(suffix):
    x, y = digits(8)
    UNLABELLED[suffix](Path(f"a{suffix}"), x[:4])
    assert not opened(f"a{suffix}").labelled
    WRITERS[suffix](Path(f"b{suffix}"), x[4:], y[4:])
    assert refused(f"*{suffix}") == (
        f"record 0 (counted from 0) of 'b{suffix}' has a label '{LABEL.get(suffix, 'label')}', and the first record "
        f"has none; give labels for all samples or for none"
    )


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        pytest.param("x.csv", "a,b,label\n1,2,\n", "3,4,1\n", id="CSV"),
        pytest.param("x.tsv", "a\tb\tlabel\n1\t2\t\n", "3\t4\t1\n", id="TSV"),
        pytest.param("x.jsonl", '{"scales": [1, 2]}\n', '{"scales": [3, 4], "y": 1}\n', id="JSON lines"),
    ],
)
def test_labels_that_the_first_record_lacks(name, first, second):
    Path(name).write_text(first + second)
    column = "y" if name.endswith("jsonl") else "label"
    assert refused(name, SCALES) == (
        f"record 1 (counted from 0) of '{name}' has a label '{column}', and the first record has none; give labels "
        f"for all samples or for none"
    )


def _other_type(suffix, path, x, y):
    """Samples whose values have another type than those of `WRITERS`."""
    if suffix in {".csv", ".tsv", ".jsonl"}:
        WRITERS[suffix](path, np.full(x.shape, "many"), y)
    elif suffix == ".parquet":
        WRITERS[suffix](path, x.astype(np.float64), y)
    elif suffix == ".tar":
        write_tar(path, {str(place): {"npy": npy(one), "cls": b"1"} for place, one in enumerate(x)})
    else:
        records = (example({"image": one.astype(np.float32).ravel(), "label": 1}) for one in x)
        path.write_bytes(b"".join(map(framed, records)))


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        pytest.param(
            ".csv",
            "record 0 (counted from 0) of 'b.csv' holds no numbers for the input 'image' (could not convert string to "
            "float: 'many'); correct it",
        ),
        pytest.param(
            ".tsv",
            "record 0 (counted from 0) of 'b.tsv' holds no numbers for the input 'image' (could not convert string to "
            "float: 'many'); correct it",
        ),
        pytest.param(
            ".jsonl",
            "record 0 (counted from 0) of 'b.jsonl' holds no numbers for the input 'image' (could not convert "
            "string to float: 'many'); correct it",
        ),
        pytest.param(".tar", "record 0 (counted from 0) of 'b.tar' has no value of 'png'; give every sample one"),
        pytest.param(
            ".tfrecord",
            "'b.tfrecord' holds numbers for 'image', and 'a.tfrecord' images; give only one of them",
        ),
        pytest.param(
            ".parquet",
            "'b.parquet' holds 'image' as float64 of shape (8, 8, 1) per sample, and 'a.parquet' as int64 of shape "
            "(8, 8, 1); give all samples the same shape and type",
        ),
    ],
)
def test_a_shard_of_another_type_is_named(suffix, message):
    x, y = digits(8)
    WRITERS[suffix](Path(f"a{suffix}"), x[:4], y[:4])
    _other_type(suffix, Path(f"b{suffix}"), x[4:], y[4:])
    assert refused(f"*{suffix}") == message


def test_a_table_of_paths():
    x, y = digits(12)
    Path("photos").mkdir()
    lines = ["file,label"]
    for place, (sample, label) in enumerate(zip(x, y, strict=True)):
        Path(f"photos/{place}.png").write_bytes(png(sample))
        lines.append(f"{place}.png,{label}")
    Path("photos/photos.csv").write_text("\n".join(lines))
    samples = opened("photos/photos.csv")
    assert samples.sha256 == opened(write_npz(x, y)).sha256
    assert samples.preprocessing == "grey 8×8, Pillow's bilinear for files of another size; values 0–255 unchanged"


def test_preprocessing_applies_to_images():
    x, y = digits(12)
    WRITERS[".tar"](Path("digits.tar"), x, y)
    samples = opened("digits.tar", preprocessing=Preprocessing(scale=1 / 16))
    assert samples.sha256 == opened(write_npz((x / 16).astype(np.float32), y)).sha256


def test_preprocessing_of_numbers_is_refused():
    WRITERS[".csv"](Path("digits.csv"), *digits(12))
    assert refused("digits.csv", error=UsageError, preprocessing=Preprocessing(scale=2)) == (
        "preprocessing is declared, but 'digits.csv' holds no images, and numbers are not preprocessed; leave the "
        "options out, and [preprocessing] of quantlab.toml"
    )


FLOWER = TensorSpec("flower", (None, 3), "float32")
SCALES = TensorSpec("scales", (None, 2), "int32")

TWO_INPUTS = """
files = "samples.jsonl"
labels = "about.kind"
classes = ["rose", "daisy"]

[features]
flower = ["c", "a", "b"]
scales.columns = "codes"
"""


def test_a_description_says_what_the_values_are():
    Path("data").mkdir()
    rows = [{"a": place, "b": 0.5, "c": -1, "codes": [place, 7], "about": {"kind": "daisy"}} for place in range(6)]
    rows[2]["about"] = {"kind": "rose"}
    Path("data/samples.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("data/data.toml").write_text(TWO_INPUTS)
    samples = opened("data/data.toml", FLOWER, SCALES)
    np.testing.assert_array_equal(
        np.load(samples.input_file("flower")), np.array([[-1, place, 0.5] for place in range(6)], np.float32)
    )
    np.testing.assert_array_equal(
        np.load(samples.input_file("scales")), np.array([[place, 7] for place in range(6)], np.int32)
    )
    np.testing.assert_array_equal(np.load(samples.labels_file), [1, 1, 0, 1, 1, 1])
    assert samples.classes == ("rose", "daisy")


def test_columns_by_a_glob_and_several_labels():
    Path("rows.csv").write_text("id,f0,f1,f2,t0,t1\n7,1,2,3,0.5,1\n8,4,5,6,1.5,2\n")
    Path("data.toml").write_text('files = "rows.csv"\nlabels = ["t0", "t1"]\n[features]\nflower = "f*"')
    samples = opened("data.toml", FLOWER)
    np.testing.assert_array_equal(np.load(samples.input_file("flower")), [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(np.load(samples.labels_file), [[0.5, 1], [1.5, 2]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            'files = "x.csv"\nlabel = "y"',
            "'data.toml' has the unknown key 'label'; did you mean 'labels'?",
            id="unknown key",
        ),
        pytest.param(
            'labels = "y"',
            '\'data.toml\' names no files; write for example files = "train-*.tfrecord" and labels = "label"',
            id="no files",
        ),
        pytest.param(
            'files = "x.csv"\nlabels = 3',
            "labels in 'data.toml' is 3 and must be a name in quotes, or a list of names; correct it",
            id="a number as a name",
        ),
        pytest.param(
            'files = "x.csv"\n[features]\nflower = {columns = "a", dtype = "words"}',
            "features.flower.dtype in 'data.toml' is 'words' and must be the name of a data type of numbers, for "
            "example 'uint8'; correct it",
            id="no dtype",
        ),
        pytest.param(
            'files = "x.csv"\n[features]\nflower = {columns = "a", shape = [0]}',
            "features.flower.shape in 'data.toml' is [0] and must be a list of sizes without the batch, for example "
            "[28, 28, 1]; correct it",
            id="no shape",
        ),
        pytest.param(
            'files = "x.csv"\n[features]\nflowers = "a"',
            "'data.toml' describes 'flowers', and the model's inputs are 'flower'; correct [features]",
            id="another input",
        ),
        pytest.param(
            'files = "x.csv"\nlabels = "kind"\n',
            "'data.toml' has no 'kind' for the labels; its values are 'a', 'b', 'c', 'y'",
            id="no such labels",
        ),
        pytest.param(
            'files = "x.csv"\n[features]\nflower = ["a", "d"]',
            "'data.toml' has no 'd' for the input 'flower'; its values are 'a', 'b', 'c', 'y'",
            id="no such feature",
        ),
        pytest.param(
            'files = "x.csv"\nformat = "cvs"',
            "'data.toml' names the format 'cvs'; did you mean 'csv'?",
            id="no such format",
        ),
        pytest.param('files = "y.csv"', "there is no file 'y.csv'; did you mean 'x.csv'?", id="no such file"),
        pytest.param(
            'files = "y.npz"',
            "'y.npz' is a file of arrays, and 'data.toml' names files of records; name the file itself with --data",
            id="a file of arrays",
        ),
        pytest.param(
            'files = "*.tar"',
            "no file matches '*.tar'; put the pattern into quotes, and check the folder",
            id="no file matches",
        ),
    ],
)
def test_descriptions_that_are_refused(text, message):
    Path("y.npz").write_bytes(b"")
    Path("x.csv").write_text("a,b,c,y\n1,2,3,0\n")
    Path("data.toml").write_text(text)
    assert refused("data.toml", FLOWER) == message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        pytest.param(
            "x.csv",
            "a,b,y\n1,2,0\n",
            "the input 'flower' expects samples of shape (3,), but those of 'x.csv' have shape (2,); give samples of "
            "the shape that the model was trained on",
            id="too few columns",
        ),
        pytest.param(
            "x.csv",
            "a,b,c,y\n1,2,3,0\n1,2,0\n",
            "'x.csv' cannot be read (line 3 has 3 values and the header 4 columns); give a UTF-8 text file with a "
            "header line and one row for each sample",
            id="a short row",
        ),
        pytest.param(
            "x.csv",
            "a,b,c,y\n1,2,3,0\n1,,3,0\n",
            "record 1 (counted from 0) of 'x.csv' has no value of 'b'; give every sample one",
            id="an empty cell",
        ),
        pytest.param(
            "x.csv",
            "a,b,c,y\n1,2,3,0\n1,2,3,\n",
            "record 1 (counted from 0) of 'x.csv' has no label 'y'; give labels for all samples or for none",
            id="an empty label",
        ),
        pytest.param(
            "x.csv",
            "a;b;c;label\n" + ";".join("1" * 300) + "\n",
            "'x.csv' cannot be read (its columns are separated by semicolons, and those of this format by commas); "
            "give a UTF-8 text file with a header line and one row for each sample",
            id="semicolons",
        ),
        pytest.param(
            "x.tsv",
            "a,b,c,label\n1,2,3,0\n",
            "'x.tsv' cannot be read (its columns are separated by commas, and those of this format by tabs); give a "
            "UTF-8 text file with a header line and one row for each sample",
            id="commas in a TSV file",
        ),
        pytest.param(
            "x.jsonl",
            '{"flower": "' + "long" * 100 + '", "label": 0}\n',
            f"there is no file '{'long' * 20}…', which record 0 (counted from 0) of 'x.jsonl' names; give its "
            "path below '.'",
            id="text that is no path",
        ),
        pytest.param(
            "x.jsonl",
            '{"flower": [1, 2, 3], "label": 0}\n{"flower": [1, 2\n',
            """'x.jsonl' cannot be read (line 2, '{"flower": [1, 2', is no JSON value: Expecting ',' delimiter); """
            "give text in UTF-8 with one JSON object for each sample and line",
            id="a line that ends too early",
        ),
        pytest.param(
            "x.csv",
            "a,a,c,y\n1,2,3,0\n",
            "'x.csv' cannot be read (two columns have the name 'a'); give a UTF-8 text file with a header line and one "
            "row for each sample",
            id="a column twice",
        ),
        pytest.param(
            "x.csv",
            "a,b,c,y\n1,2,3,rose\n",
            "record 0 (counted from 0) of 'x.csv' has the label 'rose', a name; name the classes in the order of the "
            'model\'s outputs in a file data.toml: classes = ["…"]',
            id="classes by name",
        ),
        pytest.param(
            "x.csv",
            "a,b,c,y\n1,2,3,0\n1,2,nan,0\n",
            "sample 1 (counted from 0) of 'x.csv' holds NaN in the input 'flower'; correct or remove it, since it "
            "would make every score invalid",
            id="NaN",
        ),
        pytest.param(
            "x.jsonl",
            '{"flower": [1, 2, 3], "y": 0, "label": 1}\n',
            "the first record of 'x.jsonl' has 'y', 'label', and each may be the labels; leave all but one out, or "
            "name the labels in a file data.toml: files and labels",
            id="two names of labels",
        ),
        pytest.param(
            "x.jsonl",
            '{"flower": [1, 2, 3], "y": 0}\n\n{"flower": [1, 2, 3], "y": 0, "label": 1}\n',
            "'x.jsonl' cannot be read (line 3 has 'label', 'y', and the first one has 'y', so that it is not known "
            "which are the labels); give text in UTF-8 with one JSON object for each sample and line",
            id="two names of labels in a later line",
        ),
        pytest.param(
            "x.jsonl",
            '{"flower": [1, 2, 3], "y": 0}\n[1, 2]\n',
            "'x.jsonl' cannot be read (line 2, '[1, 2]', is no object with names); give text in UTF-8 with one JSON "
            "object for each sample and line",
            id="a line that is no object",
        ),
        pytest.param(
            "x.jsonl",
            '{"flower": [1, 2, 3], "y": 0}\n{"flower": [1, 2], "y": 0}\n',
            "'x.jsonl' holds 'flower' as float64 of shape (2,), and the first sample is float64 of shape (3,); give "
            "all samples the same shape and type",
            id="samples that differ",
        ),
        pytest.param(
            "x.jsonl",
            '{"flower": [1, [2], 3], "y": 0}\n',
            "record 0 (counted from 0) of 'x.jsonl' holds no numbers for the input 'flower' (setting an array "
            "element with a sequence. The requested array has an inhomogeneo…); correct it",
            id="lists that differ",
        ),
        pytest.param(
            "x.jsonl",
            '{"flower": [1, 2, 3], "kind": 0}\n',
            "'x.jsonl' holds 'kind', which is neither an input of the model ('flower') nor labels; name the labels "
            "'label', or describe them in a file data.toml: files, labels and [features]",
            id="labels of another name",
        ),
        pytest.param(
            "x.jsonl",
            '{"petals": [1, 2, 3], "stem": 3, "label": 0}\n',
            "'x.jsonl' holds 'petals', 'stem', 'label', and none of them has the name of the input 'flower'; describe "
            "them in a file data.toml: files, labels and [features]",
            id="no input",
        ),
    ],
)
def test_files_that_are_refused(name, text, message):
    Path(name).write_text(text)
    assert refused(name, FLOWER) == message


def test_labels_that_are_named_may_have_others_beside_them():
    rows = '{"flower": [1, 2, 3], "y": 0, "label": 1}\n' * 2
    Path("x.jsonl").write_text(rows)
    Path("data.toml").write_text('files = "x.jsonl"\nlabels = "label"\n')
    assert np.load(opened("data.toml", FLOWER).folder / "labels.npy").tolist() == [1, 1]


def test_labels_that_are_described_may_have_others_in_some_records():
    Path("x.jsonl").write_text('{"scales": [1, 2], "label": 1}\n{"scales": [3, 4], "label": 0, "y": 7}\n')
    Path("data.toml").write_text('files = "x.jsonl"\nlabels = "label"')
    assert np.load(opened("data.toml", SCALES).labels_file).tolist() == [1, 0]


def test_an_integer_input_takes_no_floats():
    Path("x.jsonl").write_text('{"scales": [1, 2], "y": 0}\n{"scales": [1, 2.5], "y": 0}\n')
    assert refused("x.jsonl", SCALES) == (
        "record 1 (counted from 0) of 'x.jsonl' holds no numbers for the input 'scales' (the input 'scales' expects "
        "int32, and there are floats); correct it"
    )


def test_ragged_ground_truth():
    Path("x.jsonl").write_text('{"flower": [1, 2, 3], "y": [1, 2]}\n{"flower": [1, 2, 3], "y": [3]}\n')
    assert opened("x.jsonl", FLOWER).truth == "ragged"


FLOATS = bytes_field(2, bytes_field(1, np.arange(3, dtype="<f4").tobytes()))
"""A feature of three floats."""


def record_with(label):
    """A record of a TFRecord file with a flower and this feature as its label."""
    entries = [bytes_field(1, b"label") + bytes_field(2, label), bytes_field(1, b"flower") + bytes_field(2, FLOATS)]
    return framed(bytes_field(1, b"".join(bytes_field(1, entry) for entry in entries)))


def integers(values):
    return bytes_field(3, bytes_field(1, b"".join(map(varint, values))))


@pytest.mark.parametrize("cut", [None, 1, 2], ids=["one file", "the first file has single ones", "the other way"])
@pytest.mark.parametrize("suffix", [".tfrecord", ".parquet"])
def test_sequences_of_one_element_stay_sequences(suffix, cut):
    truth = [[3], [1, 2], [5]] if cut != 2 else [[1, 2], [3, 4, 6], [5]]
    for number, part in enumerate([truth] if cut is None else [truth[:cut], truth[cut:]]):
        path = Path(f"{number}{suffix}")
        if suffix == ".tfrecord":
            path.write_bytes(b"".join(record_with(integers(label)) for label in part))
        else:
            arrow().parquet.write_table(arrow().table({"flower": [[0.0, 1, 2]] * len(part), "label": part}), path)
    samples = opened(f"*{suffix}", FLOWER)
    assert samples.truth == "ragged"
    assert [values.tolist() for values in labels_of(samples)] == truth


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        pytest.param(
            "3",
            "[0, 1]",
            "'b.jsonl' holds several numbers as the label of a sample, and 'a.jsonl' one; give all labels the same "
            "shape",
            id="classes and one-hot",
        ),
        pytest.param(
            "[0, 1]",
            "3",
            "'b.jsonl' holds one number as the label of a sample, and 'a.jsonl' several; give all labels the same "
            "shape",
            id="one-hot and classes",
        ),
    ],
)
def test_a_shard_with_labels_of_another_shape_is_named(first, second, message):
    for name, label in (("a", first), ("b", second)):
        Path(f"{name}.jsonl").write_text(f'{{"flower": [1, 2, {len(label)}], "y": {label}}}\n')
    assert refused("*.jsonl", FLOWER) == message


def test_shards_with_sequences_of_other_lengths_are_one_truth():
    for name, label in (("a", "[3]"), ("b", "[0, 1]"), ("c", "[]")):
        Path(f"{name}.jsonl").write_text(f'{{"flower": [1, 2, {len(label)}], "y": {label}}}\n')
    assert opened("*.jsonl", FLOWER).truth == "ragged"


def test_words_of_a_tfrecord_are_texts():
    Path("x.tfrecord").write_bytes(record_with(bytes_field(1, bytes_field(1, b"a") + bytes_field(1, b"b"))))
    assert labels_of(opened("x.tfrecord", FLOWER)).tolist() == [["a", "b"]]


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        pytest.param([1.0, float("nan")], "holds NaN or infinity; correct or remove that sample", id="NaN"),
        pytest.param([[1.0], [1.0, float("inf")]], "holds NaN or infinity; correct or remove that sample", id="longer"),
        pytest.param(
            [dt.date(2026, 1, 1)] * 2,
            "cannot be kept (Object of type date is not JSON serializable); give a number, a text, or a list of these",
            id="dates",
        ),
        pytest.param(
            [{"image": b"\xff"}] * 2,
            "cannot be kept (Object of type bytes is not JSON serializable); give a number, a text, or a list of these",
            id="bytes inside of a structure",
        ),
    ],
)
def test_labels_that_no_study_can_keep(label, reason):
    arrow().parquet.write_table(arrow().table({"flower": [[0.0, 1, 2]] * 2, "label": label}), "x.parquet")
    assert refused("x.parquet", FLOWER).startswith("the label of record ")
    assert refused("x.parquet", FLOWER).endswith(f" (counted from 0) of 'x.parquet' {reason}")


def test_an_infinity_of_json_lines_is_no_label():
    Path("x.jsonl").write_text('{"flower": [1, 2, 3], "y": [1, 1e999]}\n')
    assert refused("x.jsonl", FLOWER) == (
        "the label of record 0 (counted from 0) of 'x.jsonl' holds NaN or infinity; correct or remove that sample"
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        pytest.param(
            {"README": b"words"},
            "'x.tar' cannot be read (the file '0' has no suffix, by which a WebDataset tells the parts of a sample); "
            "it is truncated or no WebDataset: write it again, the files of a sample side by side",
            id="no suffix",
        ),
        pytest.param(
            {"png": b"no image", "cls": b"1"},
            "the image in record 0 (counted from 0) of 'x.tar' has no format that Pillow can read; repair or remove it",
            id="no image",
        ),
    ],
)
def test_archives_that_are_refused(parts, message):
    if "README" in parts:
        write_tar(Path("x.tar"), {"0": {"png": png(digits()[0][0])}})
        content = Path("x.tar").read_bytes().replace(b"0.png", b"0\0\0\0\0")
        Path("x.tar").write_bytes(_with_checksum(content))
    else:
        write_tar(Path("x.tar"), {"0": parts})
    assert refused("x.tar") == message


def _with_checksum(content: bytes) -> bytes:
    """An archive whose first header has the checksum of what it holds now."""
    header = content[:148] + b" " * 8 + content[156:512]
    return content[:148] + f"{sum(header):06o}\0 ".encode() + content[156:]


def test_a_damaged_header_is_not_taken_for_the_end():
    WRITERS[".tar"](Path("x.tar"), *digits(20))
    content = bytearray(Path("x.tar").read_bytes())
    content[10 * 512 + 148] ^= 1
    Path("x.tar").write_bytes(content)
    assert refused("x.tar") == (
        "'x.tar' cannot be read (a header is damaged); it is truncated or no WebDataset: write it again, the files of "
        "a sample side by side"
    )


# TFRecord

WRITTEN_BY_TENSORFLOW = Path(__file__).parent / "fixtures" / "records" / "written_by_tensorflow.tfrecord"


def test_a_file_that_tensorflow_wrote():
    with WRITTEN_BY_TENSORFLOW.open("rb") as stream:
        records = [record for _, record in RECORD_FORMATS["tfrecord"].scan(stream, ())]
    assert [list(record) for record in records] == [
        ["floats", "integers", "label", "none", "nothing", "pixels", "words"]
    ] * 2
    for place, record in enumerate(records):
        assert record["pixels"] == bytes(range(place, place + 6))
        assert record["words"] == [b"one", b"two"]
        assert record["none"] is record["nothing"] is None
        np.testing.assert_array_equal(record["floats"], np.array([0.5, -1.25, place], np.float32), strict=True)
        np.testing.assert_array_equal(record["label"], np.array([place]), strict=True)
        np.testing.assert_array_equal(record["integers"], np.array([-1, 2**62, 300]), strict=True)


@pytest.mark.parametrize(
    ("feature", "spec", "expected"),
    [
        pytest.param(
            'columns = "pixels"\ndtype = "uint8"',
            TensorSpec("flower", (None, 2, 3), "float32"),
            [[[0, 1, 2], [3, 4, 5]], [[1, 2, 3], [4, 5, 6]]],
            id="bytes of a dtype, in the shape of the model",
        ),
        pytest.param(
            'columns = "pixels"\ndtype = "uint16"\nshape = [3, 1]',
            TensorSpec("flower", (None, None, None), "int32"),
            [[[256], [770], [1284]], [[513], [1027], [1541]]],
            id="bytes of a dtype and a shape",
        ),
        pytest.param(
            'columns = "floats"',
            TensorSpec("flower", (None, 3, 1), "float32"),
            [[[0.5], [-1.25], [0]], [[0.5], [-1.25], [1]]],
            id="floats",
        ),
    ],
)
def test_a_feature_specification(feature, spec, expected):
    Path("train-00000-of-00001").write_bytes(WRITTEN_BY_TENSORFLOW.read_bytes())
    Path("data.toml").write_text(
        f'files = "train-*"\nformat = "tfrecord"\nlabels = "label"\n[features.flower]\n{feature}'
    )
    samples = opened("data.toml", spec)
    np.testing.assert_array_equal(np.load(samples.input_file("flower")), np.array(expected, spec.dtype), strict=True)
    np.testing.assert_array_equal(np.load(samples.labels_file), [0, 1])


REWRITE = "; it is truncated or no TFRecord file of tf.train.Example: write it again"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        pytest.param(3, "the length of record 0 does not have its checksum", id="a length"),
        pytest.param(100, "record 0 does not have its checksum", id="a record"),
        pytest.param(343, "record 1 does not have its checksum", id="a checksum"),
    ],
)
def test_a_changed_bit_is_found_by_the_checksums(place, reason):
    content = bytearray(WRITTEN_BY_TENSORFLOW.read_bytes())
    content[place] ^= 4
    Path("x.tfrecord").write_bytes(content)
    Path("data.toml").write_text('files = "x.tfrecord"\n[features]\nflower = "floats"')
    assert refused("data.toml", FLOWER) == f"'x.tfrecord' cannot be read ({reason}){REWRITE}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(
            framed(b"\xff\xff"),
            "record 0 is no tf.train.Example: an integer goes beyond the end, byte 2",
            id="no message",
        ),
        pytest.param(gzip.compress(b"x" * 20), "it is compressed, and its name does not end in .gz", id="compressed"),
        pytest.param(b"\0" * 5, "it ends within record 0", id="a piece of a header"),
    ],
)
def test_tfrecords_that_are_refused(content, reason):
    Path("x.tfrecord").write_bytes(content)
    assert refused("x.tfrecord", FLOWER) == f"'x.tfrecord' cannot be read ({reason}){REWRITE}"


# Parquet


def test_columns_of_every_type():
    pa = arrow()
    x, y = digits(20)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 64)
    images = [{"bytes": png(sample), "path": None} for sample in x]
    for name, column in (("flat", flat), ("nested", x.tolist()), ("bytes", [png(one) for one in x]), ("hf", images)):
        columns = {"image": column, "label": pa.array(y.astype(np.int16))}
        pa.parquet.write_table(pa.table(columns), f"{name}.parquet", row_group_size=7)
    expected = opened(write_npz(x, y), limit=8).sha256
    assert {
        name: opened(f"{name}.parquet", limit=8).sha256 for name in ("flat", "nested", "bytes", "hf")
    } == dict.fromkeys(("flat", "nested", "bytes", "hf"), expected)


def test_columns_of_numbers_keep_their_types():
    pa = arrow()
    targets = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
    columns = {"a": [1, 2], "b": [0.5, 1.5], "c": [True, False], "y": [list(map(float, row)) for row in targets]}
    schema = pa.schema(
        [
            ("a", pa.int8()),
            ("b", pa.float32()),
            ("c", pa.bool_()),
            ("y", pa.list_(pa.float32())),
        ]
    )
    pa.parquet.write_table(pa.table(columns, schema), "x.parquet")
    np.savez("x.npz", flower=np.array([[1, 0.5, 1], [2, 1.5, 0]], np.float32), y=targets)
    assert opened("x.parquet", FLOWER).sha256 == opened("x.npz", FLOWER).sha256


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        pytest.param([[[1, 2], [3]]], "lists of 1 and 2 numbers are beside each other", id="ragged"),
        pytest.param([[1, None, 3]], "a list of numbers holds null", id="null"),
    ],
)
def test_columns_that_are_refused(column, reason):
    pa = arrow()
    pa.parquet.write_table(pa.table({"flower": column, "y": [0]}), "x.parquet")
    assert refused("x.parquet", FLOWER) == (
        f"'x.parquet' cannot be read ({reason}); it is truncated or no Parquet file: write it again"
    )


def test_a_library_that_is_absent():
    format_ = replace(RECORD_FORMATS["parquet"], module="no_such_module")
    with pytest.raises(UsageError) as refusal:
        refuse_absent(format_, "x.parquet")
    assert str(refusal.value) == (
        "'x.parquet' is a Parquet file, which needs the module 'no_such_module'; run 'pip install quantlab[parquet]'"
    )


# What samples depend on


@pytest.mark.parametrize(
    ("data", "files"),
    [
        pytest.param("*.tar", ("a.tar", "b.tar"), id="a glob"),
        pytest.param("data.toml", ("data.toml", "a.tar"), id="a description and its files"),
        pytest.param("a.tar", ("a.tar",), id="a file"),
        pytest.param("x.csv", None, id="a table, which may name images"),
        pytest.param("module:function", None, id="a function"),
        pytest.param("s3://bucket/*.tar", None, id="an address"),
    ],
)
def test_the_files_that_samples_are_in(data, files):
    for name in ("a.tar", "b.tar", "x.csv"):
        Path(name).write_bytes(b"content")
    Path("data.toml").write_text('files = "a.tar"')
    if "://" in data:
        pytest.importorskip("s3fs", reason="needs s3fs, of the extra 's3'")
    assert files_named(data) == (None if files is None else tuple(map(Path, files)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(
            "c*.tar", "no file matches 'c*.tar'; put the pattern into quotes, and check the folder", id="a glob"
        ),
        pytest.param("a-{0..1}.tar", "there is no file 'a-0.tar'; there are none", id="numbered files"),
        pytest.param(
            "a-{3..1}.tar",
            "the range {3..1} of 'a-{3..1}.tar' is empty or too long; write for example {0..9}",
            id="a range",
        ),
        pytest.param(
            "{0..99999}-{0..99999}.tar",
            "the range {0..99999} of '{0..99999}-{0..99999}.tar' is empty or too long; write for example {0..9}",
            id="ranges that together are endless",
        ),
    ],
)
def test_files_that_are_missing_are_reported_before_the_work(data, message):
    with pytest.raises(SamplesError) as refusal:
        refuse_missing(data)
    assert str(refusal.value) == message


def test_a_thousand_samples_of_fashion():
    """Every format gives the tensors that the arrays give, and whatever the pixels were compressed with."""
    here = Path(__file__).resolve().parents[1]
    fashion = Path(os.environ.get("QUANTLAB_DATA", here.parent / "shared" / "data")) / "fashion-mnist"
    if not fashion.is_dir():
        pytest.skip("needs Fashion-MNIST as data/README.md describes it; name the folder with QUANTLAB_DATA")
    with np.load(fashion / "test.npz") as held:
        x, y = held["x"][::10], held["y"][::10].astype(np.int64)
    assert x.shape == (1000, 28, 28, 1)
    spec = TensorSpec("image", (None, 28, 28, 1), "float32")
    expected = opened(write_npz(x, y), spec).sha256
    for suffix, write in WRITERS.items():
        if suffix == ".parquet":
            arrow()
        Path("shards").mkdir(exist_ok=True)
        for shard in range(4):
            write(Path(f"shards/{shard}{suffix}"), x[shard * 250 :][:250], y[shard * 250 :][:250])
        assert opened(f"shards/*{suffix}", spec).sha256 == expected, suffix


@pytest.mark.starts_children
def test_images_in_archives_are_decoded_by_the_declared_library():
    x, y = digits(12)
    WRITERS[".tar"](Path("digits.tar"), x, y)
    samples = opened("digits.tar", preprocessing=Preprocessing(decoder="tf"))
    assert samples.preprocessing != opened("digits.tar").preprocessing
    difference = np.load(samples.input_file("image")) - x
    assert np.abs(difference).max() <= 1  # its grey is cut to whole numbers
