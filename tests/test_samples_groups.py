"""Group keys: what they may be, and how groups are drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.errors import SamplesError, UsageError
from quantlab.samples import SampleOptions
from quantlab.samples.groups import group_codes, split_groups
from quantlab.samples.source import HeldTensor, Source

FILES = tuple(f"{kind}/patient{patient}_{shot}.png" for kind in "ab" for patient in (7, 12) for shot in range(3))


def source(n, *, labels=None, files=()):
    tensor = HeldTensor("x", (n, 4), np.dtype(np.float32))
    return Source(text="shots", n=n, tensors=(tensor,), labels=labels, read=lambda _: iter(()), files=files)


def test_names_of_files():
    codes = group_codes(r"patient(\d+)_", source(12, files=FILES), inputs=())
    assert codes.tolist() == [1, 1, 1, 0, 0, 0] * 2


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        pytest.param(r"patient\d+", UsageError, "has 0 groups in parentheses", id="no group"),
        pytest.param(r"(patient)(\d+)", UsageError, "has 2 groups in parentheses", id="two groups"),
        pytest.param("patient(", UsageError, "is no regular expression", id="no expression"),
        pytest.param(r"patient(7)_", SamplesError, "does not match the file 'a/patient12_0.png'", id="some files"),
        pytest.param(r"(patient)", UsageError, "one group", id="constant"),
    ],
)
def test_a_pattern_that_cannot_be_used(key, error, message):
    with pytest.raises(error, match=message):
        group_codes(key, source(12, files=FILES), inputs=())


def test_a_column_of_a_table(tmp_path):
    (tmp_path / "meta.csv").write_text("site,shot\nnorth,1\nsouth,2\nnorth,3\n")
    assert group_codes(f"{tmp_path}/meta.csv:site", source(3), inputs=()).tolist() == [0, 1, 0]


def test_samples_that_are_no_npz_file_have_no_arrays():
    with pytest.raises(UsageError, match="'patient' names nothing in 'shots'"):
        group_codes("patient", source(3), inputs=())


@given(
    sizes=st.lists(st.integers(1, 30), min_size=3, max_size=40),
    calibrate=st.integers(0, 60),
    limit=st.integers(30, 200),
    search=st.booleans(),
    seed=st.integers(0, 9),
)
def test_parts_have_whole_groups_and_none_twice(sizes, calibrate, limit, search, seed):
    codes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    labels = codes % 3
    options = SampleOptions(limit=limit, seed=seed, search=search, group="patient")
    parts = split_groups(source(len(codes), labels=labels), codes, options=options, calibrate=calibrate)
    held = [set(codes[part.indices].tolist()) for part in parts.all]
    assert sum(map(len, held)) == len(set.union(*held))
    assert all(
        len(part.indices) == np.isin(codes, list(groups)).sum() for part, groups in zip(parts.all, held, strict=True)
    )
    assert all((np.diff(part.indices) > 0).all() and len(part.indices) for part in parts.all)
    assert len(parts.scored.indices) <= limit
    again = split_groups(source(len(codes), labels=labels), codes, options=options, calibrate=calibrate)
    assert all((one.indices == other.indices).all() for one, other in zip(parts.all, again.all, strict=True))


def test_groups_of_a_higher_limit_lie_behind_those_of_a_lower_one():
    codes = np.random.default_rng(0).permutation(np.arange(5000) // 5)
    one, other = (
        split_groups(
            source(5000), codes, options=SampleOptions(limit=limit, group="patient"), calibrate=100
        ).scored.indices
        for limit in (2000, 5000)
    )
    assert (len(one), len(other)) == (2000, 4900)
    np.testing.assert_array_equal(other[:2000], one)


def test_calibration_has_every_class():
    codes, labels = np.repeat(np.arange(60), 5), np.repeat(np.arange(60) % 4, 5)
    options = SampleOptions(group="patient")
    parts = split_groups(source(300, labels=labels), codes, options=options, calibrate=60)
    assert np.bincount(labels[parts.calibration.indices]).tolist() == [15] * 4


def test_fewer_groups_than_parts():
    options = SampleOptions(group="patient", search=True)
    with pytest.raises(SamplesError, match="and 3 parts are drawn from it, each with whole groups"):
        split_groups(source(20), np.repeat([0, 1], 10), options=options, calibrate=5)
