"""Whether two studies have the same samples."""

from dataclasses import replace

import numpy as np
import pytest
from verdict_fixtures import answers, write_study

from quantlab.samples import why_other_samples
from quantlab.types import TensorSpec

N = 400
LABELS = np.arange(N) % 10


def samples_of(folder):
    return write_study(folder, LABELS, answers(LABELS), {}).samples


def inputs_of(folder, name, values):
    """A set of samples with one input, whose name differs from model to model."""
    written = samples_of(folder)
    spec = TensorSpec(name, (None, *values.shape[1:]), values.dtype.name)
    samples = replace(written, inputs=(spec,), sha256=name.ljust(64, "0"))
    np.save(samples.input_file(name), values)
    return samples


@pytest.mark.parametrize(
    ("values", "why"),
    [
        pytest.param(np.arange(N, dtype=np.float32), "", id="another name of the input alone"),
        pytest.param(np.arange(N, dtype=np.float32)[::-1], "their inputs differ", id="another order"),
        pytest.param(np.arange(N), "their inputs have other shapes or data types", id="another data type"),
    ],
)
def test_the_same_samples_are_known_by_their_bytes(tmp_path, values, why):
    one = inputs_of(tmp_path / "one.study", "input_1", np.arange(N, dtype=np.float32))
    other = inputs_of(tmp_path / "other.study", "input_2", values)
    assert why_other_samples(one, other) == why


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"labelled": False, "labels_sha256": ""}, "only one of them has labels", id="no labels"),
        pytest.param({"groups_sha256": "6" * 64}, "their groups differ", id="other groups"),
        pytest.param({"sha256": "6" * 64, "labels_sha256": ""}, "their hashes differ", id="an older record"),
        pytest.param({"labels_sha256": ""}, "", id="an older record of the same samples"),
    ],
)
def test_other_samples_by_their_records(tmp_path, change, why):
    samples = samples_of(tmp_path / "a.study")
    assert why_other_samples(samples, replace(samples, **change)) == why


def test_inputs_that_are_gone_cannot_be_compared(tmp_path):
    one = inputs_of(tmp_path / "one.study", "input_1", np.arange(N, dtype=np.float32))
    other = inputs_of(tmp_path / "other.study", "input_2", np.arange(N, dtype=np.float32))
    other.input_file("input_2").unlink()
    assert why_other_samples(one, other) == "their hashes differ, and their inputs cannot be read"
