"""Ground truth of another shape for each sample: read, refused in a sentence, and kept."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.errors import SamplesError
from quantlab.ragged import Packed, objects, pack, rectangular, unpack
from quantlab.samples import SampleOptions, intact_labels, intact_samples, labels_of, open_parts, open_source
from quantlab.types import TensorSpec

SPECS = (TensorSpec("x", (None, 2), "float32"),)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


def told(truth):
    """As lists, to compare."""
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in truth]


@given(st.lists(JSON, max_size=6))
def test_values_of_json_come_back_as_they_were(values):
    assert unpack(pack(objects(values))).tolist() == values


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.sampled_from([(), (3,), (2, 2)]))
def test_arrays_come_back_as_they_were(lengths, inner):
    arrays = [np.arange(length * int(np.prod(inner))).reshape(length, *inner) for length in lengths]
    packed = pack(objects(arrays))
    assert packed.kind == "ragged"
    assert [one.shape for one in unpack(packed)] == [(length, *inner) for length in lengths]
    assert told(unpack(packed)) == told(arrays)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([1, 2], np.array([1, 2]), id="numbers"),
        pytest.param([1, 2.5], np.array([1, 2.5]), id="a float among them"),
        pytest.param([[1, 2], [3, 4]], np.array([[1, 2], [3, 4]]), id="lists of one length"),
        pytest.param([[1], [], [2, 3]], [[1], [], [2, 3]], id="lists of several lengths"),
        pytest.param([[[1, 2]], []], [[[1, 2]], []], id="boxes, and none"),
        pytest.param([[1], [[2]]], None, id="of several depths"),
        pytest.param([[[1], [2, 3]]], None, id="of several lengths inside"),
        pytest.param(["a"], None, id="text"),
        pytest.param([[2**63], [1]], None, id="an integer beyond int64"),
        pytest.param([[2**63 - 1], [-(2**63)]], np.array([[2**63 - 1], [-(2**63)]]), id="the ends of int64"),
        pytest.param([[], []], None, id="nothing"),
    ],
)
def test_lists_of_numbers_are_arrays(values, expected):
    found = rectangular(values)
    if expected is None or isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    else:
        assert told(found) == expected
        assert len({one.shape[1:] for one in found}) == 1


def npz(place, n=4, **labels):
    np.savez(place / "data.npz", x=np.arange(2 * n).reshape(n, 2).astype(np.float32), **labels)
    return str(place / "data.npz")


def test_offsets_divide_the_labels(tmp_path):
    data = npz(tmp_path, y=np.array([7, 8, 9, 1]), y_offsets=np.array([0, 1, 1, 3, 4]))
    source = open_source(data, inputs=SPECS, options=SampleOptions())
    assert told(source.labels) == [[7], [], [8, 9], [1]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param(
            {"y": np.zeros(3), "y_offsets": np.array([0, 3])},
            "are int64 of shape (2,), and 4 samples need 5 integers, from 0 to the number of values",
            id="too few offsets",
        ),
        pytest.param(
            {"y": np.zeros(3), "y_offsets": np.array([0, 1, 2, 3, 4])},
            "go from 0 to 4, and there are 3 values; let them go from 0 to that number",
            id="more than there is",
        ),
        pytest.param(
            {"y": np.zeros(3), "y_offsets": np.array([0, 2, 1, 3, 3])},
            "fall at sample 1 (counted from 0), from 2 to 1; each sample must begin where the one before it ends",
            id="backwards",
        ),
        pytest.param(
            {"y": np.zeros(3), "y_offsets": np.array([0, 2**64 - 1, 1, 3, 3], np.uint64)},
            "fall at sample 1 (counted from 0), from 18,446,744,073,709,551,615 to 1; each sample must begin where the "
            "one before it ends",
            id="beyond int64",
        ),
    ],
)
def test_offsets_that_do_not_fit(tmp_path, labels, message):
    data = npz(tmp_path, **labels)
    with pytest.raises(SamplesError, match=re.escape(f"the offsets of the labels of '{data}' {message}")):
        open_source(data, inputs=SPECS, options=SampleOptions())


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(np.zeros(0), id="floats"),
        pytest.param(np.zeros((0, 4)), id="boxes of floats"),
        pytest.param(np.zeros(0, np.int64), id="integers"),
    ],
)
def test_labels_that_are_all_empty(tmp_path, labels):
    source = open_source(npz(tmp_path, y=labels, y_offsets=np.zeros(5, int)), inputs=SPECS, options=SampleOptions())
    assert [one.shape for one in source.labels] == [labels.shape] * 4


def test_nan_is_named_with_its_sample(tmp_path):
    data = npz(tmp_path, y=np.array([0.0, 1, np.nan, 2]), y_offsets=np.array([0, 1, 1, 3, 4]))
    message = f"the labels of sample 2 (counted from 0) of '{data}' hold NaN or infinity; correct or remove it"
    with pytest.raises(SamplesError, match=re.escape(message)):
        open_source(data, inputs=SPECS, options=SampleOptions())


def lines(place, *texts):
    (place / "labels.jsonl").write_text("\n".join(texts) + "\n")
    return SampleOptions(labels=str(place / "labels.jsonl"))


def test_a_line_is_a_sample(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2), np.float32))
    options = lines(tmp_path, '{"boxes": [[0, 0, 4, 4]]}', "[]")
    source = open_source(str(tmp_path / "x.npy"), inputs=SPECS, options=options)
    assert source.labels.tolist() == [{"boxes": [[0, 0, 4, 4]]}, []]


@pytest.mark.parametrize(
    "separator",
    [
        pytest.param("\u2028", id="line separator"),
        pytest.param("\u2029", id="paragraph separator"),
        pytest.param("\x85", id="next line"),
    ],
)
def test_what_json_allows_in_a_string_ends_no_line(tmp_path, separator):
    np.save(tmp_path / "x.npy", np.zeros((2, 2), np.float32))
    options = lines(tmp_path, f'"one{separator}two"', '"three"\r')
    source = open_source(str(tmp_path / "x.npy"), inputs=SPECS, options=options)
    assert source.labels.tolist() == [f"one{separator}two", "three"]


def test_lines_of_numbers_are_labels_as_in_any_file(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2), np.float32))
    source = open_source(str(tmp_path / "x.npy"), inputs=SPECS, options=lines(tmp_path, "1", "0"))
    assert (source.labels.dtype, source.labels.tolist()) == (np.int64, [1, 0])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        pytest.param(["[1]"], "holds 2 samples but '", id="a line too few"),
        pytest.param(["[1]", "[2"], "the labels of sample 1 (counted from 0), '[2' in line 2 of '", id="cut off"),
        pytest.param(["[1]", "NaN"], "the labels of sample 1 (counted from 0), 'NaN' in line 2", id="NaN"),
        pytest.param(["1e999", "1"], "the labels of sample 0 (counted from 0), '1e999' in line 1", id="too large"),
        pytest.param(["", "1"], "the labels of sample 0 (counted from 0), '' in line 1", id="an empty line"),
        pytest.param(["1", "[" * 100_000], "the labels of sample 1 (counted from 0), '[[[", id="very deep"),
    ],
)
def test_lines_that_are_no_labels(tmp_path, texts, message):
    np.save(tmp_path / "x.npy", np.zeros((2, 2), np.float32))
    with pytest.raises(SamplesError, match=re.escape(message)) as raised:
        open_source(str(tmp_path / "x.npy"), inputs=SPECS, options=lines(tmp_path, *texts))
    assert len(str(raised.value)) < 500


def written(place, limit=None):
    truth = [[{"bbox": [place_, 0, 1, 1]}] * (place_ % 3) for place_ in range(40)]
    (place / "labels.jsonl").write_text("\n".join(map(json.dumps, truth)))
    np.save(place / "x.npy", np.arange(80).reshape(40, 2).astype(np.float32))
    options = SampleOptions(labels=str(place / "labels.jsonl"), limit=limit)
    parts = open_parts(
        str(place / "x.npy"), None, model_inputs=SPECS, folder=place / "study", options=options, calibrate=5
    )
    return parts, truth


def test_truth_is_drawn_and_kept_with_its_samples(tmp_path):
    parts, truth = written(tmp_path, limit=10)
    for part in (parts.scored, parts.calibration):
        places = np.load(part.input_file("x"))[:, 0].astype(int) // 2
        assert labels_of(part).tolist() == [truth[place] for place in places]
        assert (part.truth, intact_labels(part), intact_samples(part)) == ("json", "intact", "intact")


def test_truth_that_was_changed_is_not_intact(tmp_path):
    samples = written(tmp_path)[0].scored
    values = np.load(samples.labels_file)
    values[values == ord("1")] = ord("2")
    np.save(samples.labels_file, values)
    assert intact_labels(samples) == "damaged"
    offsets = np.load(samples.label_offsets_file)
    np.save(samples.label_offsets_file, offsets[::-1].copy())
    assert intact_labels(samples) == "damaged"
    samples.label_offsets_file.unlink()
    assert intact_labels(samples) == "missing"


@pytest.mark.parametrize(
    "offsets",
    [
        pytest.param(np.array([0, 4]), id="more than there is"),
        pytest.param(np.array([0, 2, 1, 3]), id="backwards"),
        pytest.param(np.array([0, 2**64 - 1, 3], np.uint64), id="beyond int64"),
        pytest.param(np.array([0, 2, 1, 3], np.uint64), id="backwards and unsigned"),
        pytest.param(np.array([0.0, 3]), id="floats"),
    ],
)
def test_offsets_that_are_not_of_the_values_are_no_truth(offsets):
    with pytest.raises(ValueError, match=r"^the offsets of the labels are not those of their values$"):
        unpack(Packed("ragged", np.zeros(3), offsets))
