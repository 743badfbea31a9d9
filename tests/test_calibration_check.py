"""Calibration samples beside scored samples: what is said before anything is converted, and what is left alone."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from diagnosed_models import CLEAN, made
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from study_fixtures import a_study

from quantlab.statistics import InputSums, LayerError, OutsideSums, halves_of
from quantlab.study.calibration_check import (
    check_calibration,
    stretching_samples,
    suits_scored,
    told_of_calibration,
    told_of_recorded,
    with_recorded,
)
from quantlab.types import Codes, Port, SampleSet, TensorRange, TensorSpec

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (60, 4, 4, 3)).astype(np.float32)
PIXELS[0, 0, 0], PIXELS[1, 0, 0] = 0, 255


def sample_set(folder: Path, values, source="samples.npz") -> SampleSet:
    samples = dataclasses.replace(
        a_study(folder).samples,
        folder=folder,
        n=len(values),
        inputs=(TensorSpec("image", (None, *values.shape[1:]), values.dtype.name),),
        source=source,
    )
    folder.mkdir(parents=True, exist_ok=True)
    np.save(samples.input_file("image"), values)
    np.save(folder / "indices.npy", np.arange(len(values)) * 10)
    return samples


def told(folder, calibration, scored):
    check = check_calibration(
        sample_set(folder / "calibration", calibration, "scaled.npz"), sample_set(folder / "data", scored)
    )
    return told_of_calibration(check)


def with_outlier(values, row, value):
    stretched = values.copy()
    stretched[row, 0, 0, 0] = value
    return stretched


SCALED_ONCE_MORE = (
    "the calibration covers 0.39 % of the range of the data: the input 'image' is 0…1 in the calibration samples and "
    "0…255 in the scored samples, of which 99 % of the values lie outside and are clipped by static quantization; "
    "preprocess both alike"
)
NOT_SCALED = (
    "the data use 0.39 % of the range of the calibration: the input 'image' is 0…255 in the calibration samples and "
    "0…1 in the scored samples, so static quantization leaves few steps to them; preprocess both alike, or calibrate "
    "on samples like those that are scored"
)
ONE_EXTREME = (
    "1 calibration sample stretches the range of the input 'image' from 0…255 to 0…5000: sample 30 (counted from 0) of "
    "'scaled.npz'; remove it if such values are no real ones, because every step of static quantization becomes "
    "19.6 times as large as it need be (4.3 bits are lost)"
)
UNIT = (PIXELS / 255).astype(np.float32)


@pytest.mark.parametrize(
    ("calibration", "scored", "sentences"),
    [
        pytest.param(PIXELS[::2], PIXELS[1::2], [], id="two halves of the same"),
        pytest.param(UNIT, PIXELS, [SCALED_ONCE_MORE], id="scaled once more"),
        pytest.param(PIXELS, UNIT, [NOT_SCALED], id="not scaled"),
        pytest.param(PIXELS, with_outlier(PIXELS, 3, 5000.0), [], id="one extreme value among those that are scored"),
        pytest.param(with_outlier(PIXELS, 3, 5000.0), PIXELS, [ONE_EXTREME], id="one extreme calibration sample"),
        pytest.param(np.zeros((30, 2, 2, 1), np.bool_), np.ones((30, 2, 2, 1), np.bool_), [], id="no numbers"),
    ],
)
def test_what_is_told_before_the_conversion(calibration, scored, sentences, tmp_path):
    assert told(tmp_path, calibration, scored) == sentences


@pytest.mark.parametrize(
    ("calibration", "scored", "suits"),
    [
        pytest.param(PIXELS[::2], PIXELS[1::2], True, id="two halves of the same"),
        pytest.param(UNIT, PIXELS, False, id="scaled once more"),
        pytest.param(PIXELS, UNIT, False, id="not scaled"),
        pytest.param(with_outlier(PIXELS, 3, 5000.0), PIXELS, True, id="one extreme calibration sample"),
    ],
)
def test_which_calibration_samples_suit_the_scored_ones(calibration, scored, suits, tmp_path):
    check = check_calibration(sample_set(tmp_path / "calibration", calibration), sample_set(tmp_path / "data", scored))
    assert suits_scored(check) is suits


def test_samples_that_stretch_a_range_are_named_without_scored_ones(tmp_path):
    assert stretching_samples(sample_set(tmp_path / "a", PIXELS)) == []
    assert stretching_samples(sample_set(tmp_path / "b", with_outlier(PIXELS, 3, 5000.0), "scaled.npz")) == [
        ONE_EXTREME
    ]


def test_the_outlier_among_thousands_is_named(tmp_path):
    many = np.tile(PIXELS, (60, 1, 1, 1))
    (sentence,) = stretching_samples(sample_set(tmp_path / "a", with_outlier(many, 2001, 5000.0)))
    assert sentence.startswith("1 calibration sample stretches the range of the input 'image' from 0…255 to 0…5000: ")
    assert "20010" in sentence  # its position in the data


def test_every_input_and_channel_has_a_range(tmp_path):
    scored = np.stack([PIXELS[..., 0], PIXELS[..., 0] * 2], axis=-1)
    check = check_calibration(sample_set(tmp_path / "c", scored / 2), sample_set(tmp_path / "d", scored))
    assert [(row.of, row.channel, row.minimum, row.maximum, row.covered) for row in check.ranges] == [
        ("calibration", None, 0.0, 255.0, 0.5),
        ("scored", None, 0.0, 510.0, None),
        ("calibration", 0, 0.0, 127.5, 0.5),
        ("scored", 0, 0.0, 255.0, None),
        ("calibration", 1, 0.0, 255.0, 0.5),
        ("scored", 1, 0.0, 510.0, None),
    ]
    assert check.ranges[0].mean == pytest.approx(scored.mean() / 2)
    assert check.ranges[0].outside == pytest.approx(np.mean(scored > 255))


def test_the_range_of_an_artifact_is_that_of_its_codes(tmp_path):
    scored = sample_set(tmp_path / "d", PIXELS)
    check = check_calibration(sample_set(tmp_path / "c", PIXELS), scored)
    port = Port("image", "x", 0, (None, 4, 4, 3), "int8", Codes(scale=0.5, zero_point=-128, lowest=-128, highest=127))
    variant = dataclasses.replace(a_study(tmp_path).trials[0].variant, name="mine", inputs=(port,))
    recorded = with_recorded(check, [variant], scored)
    added = recorded.ranges[-1]
    outside = float(np.mean(PIXELS > 127.75))
    assert added == TensorRange(
        "image", "mine", None, 0.0, 127.5, None, None, covered=0.5, outside=outside, bits_lost=0.0, step=0.5
    )
    assert told_of_recorded(recorded) == {}


def test_a_file_of_another_range_is_named_without_calibration_samples(tmp_path):
    scored = sample_set(tmp_path / "d", PIXELS)
    port = Port(
        "image", "x", 0, (None, 4, 4, 3), "int8", Codes(scale=1 / 255, zero_point=-128, lowest=-128, highest=127)
    )
    variant = dataclasses.replace(a_study(tmp_path).trials[0].variant, name="mine", inputs=(port,))
    recorded = with_recorded(None, [variant], scored)
    assert [row.of for row in recorded.ranges] == ["scored", "mine"]
    said = (
        "the input 'image' of mine takes codes for 0…1, and the scored samples are 0…255: 99 % of their values are "
        "clipped; feed samples that are preprocessed as those that the file was calibrated on"
    )
    assert told_of_recorded(recorded) == {"mine": [said]}
    floats = dataclasses.replace(variant, inputs=(dataclasses.replace(port, codes=None),))
    assert with_recorded(None, [floats], scored) is None
    assert told_of_recorded(None) == {}


def test_a_file_that_leaves_few_steps_to_the_data_is_named(tmp_path):
    """The same range in 16 bits leaves steps enough."""
    scored = sample_set(tmp_path / "d", UNIT)
    variant = dataclasses.replace(a_study(tmp_path).trials[0].variant, name="mine")
    said = (
        "the input 'image' of mine takes codes for 0…40, and the scored samples are 0…1: every step is 40 times as "
        "large as it need be (5.3 bits are lost); feed samples that are preprocessed as those that the file was "
        "calibrated on"
    )
    for bits, told in ((8, {"mine": [said]}), (16, {})):
        highest = 2**bits - 1
        port = Port("image", "x", 0, (None, 4, 4, 3), f"uint{bits}", Codes(40 / highest, 0, 0, highest))
        recorded = with_recorded(None, [dataclasses.replace(variant, inputs=(port,))], scored)
        assert recorded.ranges[-1].bits_lost == pytest.approx(np.log2(40))
        assert told_of_recorded(recorded) == told


@pytest.mark.parametrize("seed", [0, 5])
def test_how_far_the_range_of_an_input_moves_between_two_random_halves(seed, tmp_path):
    """The planted halves are those of one seed, so the range does not move between those of another."""
    values = PIXELS.copy()
    values[:, 0, 0, 0] = np.where(halves_of(len(values), seed=5), 765, 0)
    calibration, scored = sample_set(tmp_path / "c", values), sample_set(tmp_path / "d", PIXELS)
    moved = check_calibration(calibration, scored, seed=seed).ranges[0].moved
    assert moved == (pytest.approx(2 / 3, abs=0.01) if seed == 5 else 0)


BATCHES = arrays(np.float32, (9, 2, 3), elements=st.floats(-1e6, 1e6, width=32))


@given(values=BATCHES, cut=st.integers(1, 8))
def test_parts_of_samples_add_up_to_all_of_them(values, cut):
    whole, parts = InputSums.of(values), InputSums.of(values[:cut]) + InputSums.of(values[cut:])
    for field in dataclasses.fields(InputSums):
        np.testing.assert_allclose(getattr(parts, field.name), getattr(whole, field.name), rtol=1e-12, atol=1e-6)
    assert (parts.minimum, parts.maximum) == (float(values.min()), float(values.max()))
    ends = float(values.min()) / 2, float(values.max()) / 2
    assert OutsideSums.of(values[:cut], *ends) + OutsideSums.of(values[cut:], *ends) == OutsideSums.of(values, *ends)


@given(values=arrays(np.float32, (8, 5), elements=st.floats(-4, 4, width=32)), cut=st.integers(0, 8))
def test_clipped_values_of_parts_add_up(values, cut):
    codes = Codes(scale=0.0078125, zero_point=0, lowest=-128, highest=127)
    held = np.clip(values, -1, 127 / 128)
    whole = LayerError.of(values, held, codes=codes)
    parts = LayerError.of(values[:cut], held[:cut], codes=codes) + LayerError.of(values[cut:], held[cut:], codes=codes)
    half = codes.scale / 2
    beyond = (values.astype(np.float64) < -1 - half) | (values.astype(np.float64) > 127 / 128 + half)
    assert parts.clipped == whole.clipped == np.count_nonzero(beyond)
    assert whole.clipped_share == np.mean(beyond)
    assert LayerError.of(values, held).clipped_share is None


@pytest.mark.starts_children
def test_a_study_warns_before_it_converts_and_keeps_the_ranges(tmp_path):
    clean = CLEAN["pixels of 0…255"]
    model, x, y = made(tmp_path, clean, n=300)
    np.savez(tmp_path / "test.npz", x=x, y=y)
    np.savez(tmp_path / "scaled.npz", x=x[:50] / 255)
    given = ("--data", "test.npz", "--runtimes", "python", "--no-costs", "--out", "study")
    calibrated = ("--calibration", "scaled.npz", "--settings", "onnx-int8")
    done = quantlab_in_process("analyze", model, *given, *calibrated, cwd=tmp_path)
    said = "the calibration covers 0.39 % of the range of the data: the input 'x' is 0…1 in the calibration samples and"
    lines = done.stderr.splitlines()
    warned = next(place for place, line in enumerate(lines) if line.startswith(f"warning: {said}"))
    assert warned < next(place for place, line in enumerate(lines) if "convert onnx-int8: done" in line)
    assert f"! {said}" in done.stdout + done.stderr
    (collapse,) = (line for line in done.stdout.splitlines() if line.startswith("! onnx-int8 loses "))
    assert collapse.endswith("so preprocess both alike and analyze again before you choose another setting")
    ranges = json.loads(quantlab_in_process("show", "calibration", "study", "--json", cwd=tmp_path).stdout)
    assert [(row["of"], row["channel"]) for row in ranges[:2]] == [("calibration", None), ("scored", None)]
    assert ranges[0]["maximum"] == pytest.approx(1)
    assert ranges[0]["outside"] > 0.9
    layers = json.loads(quantlab_in_process("show", "layers", "study", "--json", cwd=tmp_path).stdout)
    clipped = {row["op"]: row["clipped"] for row in layers if row["setting"] == "onnx-int8" and row["aligned"]}
    assert clipped["Reshape"] > 0.9

    again = quantlab_in_process("analyze", model, *given, "--settings", "onnx-dynamic", cwd=tmp_path)
    assert (again.status, said in again.stdout + again.stderr) == (0, False)
    shown = quantlab_in_process("show", "calibration", "study", cwd=tmp_path)
    assert (shown.status, shown.last.partition(", because")[0]) == (
        2,
        "quantlab: the study 'study' has no ranges of calibration samples",
    )
