"""The statistics of the page that runs in a tab give Python's figures: 20 studies are scored by both."""

import json
import math
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from quantlab.layer_names import layers_of
from quantlab.runtimes.node import find_node
from quantlab.statistics import LayerError, clopper_pearson, holm, mcnemar_of_loss, tango, wilson
from quantlab.study.inside.rows import measured_row
from quantlab.types import Alignment, TapSpec, Task, Trial
from tests.tab_scores import Outputs, compared_by_python, differences, given, same

pytestmark = pytest.mark.starts_children

TAB = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "tab"

Array = npt.NDArray[Any]

_SCRIPT = """
import fs from 'node:fs';
import { clopperPearson, holm, mcnemarOfLoss, tango, wilson } from 'TAB/intervals.mjs';
import { layersOf } from 'TAB/layer-names.mjs';
import { LayerSums } from 'TAB/layer-sums.mjs';
import { scoreReference, scoreRow } from 'TAB/statistics.mjs';
const ARRAYS = { float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array };
const tensor = ({ shape, dtype, data }) => {
  const bytes = Uint8Array.from(Buffer.from(data, 'base64'));
  return { shape, dtype, data: new ARRAYS[dtype](bytes.buffer) };
};
const labelsOf = (given, task) => {
  if (!given) return null;
  return task === 'classification' ? tensor(given).data : tensor(given);
};
const strict = (_, value) => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value);
const asked = JSON.parse(fs.readFileSync(0, 'utf8'));
const studies = asked.studies.map(({ task, reference, candidate, labels }) => {
  const given = [tensor(reference), labelsOf(labels, task), task];
  const { scores, notes, changed } = scoreRow(given[0], tensor(candidate), given[1], task);
  return { scores, notes, changed, reference: scoreReference(...given) };
});
const intervals = asked.counts.map(([forth, back, n]) => (
  [tango(forth, back, n), wilson(forth, n), clopperPearson(forth, n)]));
const tests = holm(asked.counts.map(([forth, back]) => mcnemarOfLoss(forth, back)));
const layers = asked.layers.map(({ expected, actual, width, batch }) => {
  const sums = new LayerSums(width);
  const [one, other] = [tensor(expected).data, tensor(actual).data];
  for (let at = 0; at < one.length; at += batch) sums.add(one.subarray(at, at + batch), other.subarray(at, at + batch));
  return sums.figures();
});
const names = asked.names.map((given) => Object.fromEntries(layersOf(given)));
process.stdout.write(JSON.stringify({ studies, intervals, tests, layers, names }, strict));
"""


def logits(seed: int, n: int, classes: int, *, noise: float, dtype: str = "float32") -> Outputs:
    """A classifier of a seeded random model; the labels are what it answers, but for some."""
    random = np.random.default_rng(seed)
    reference = random.normal(size=(n, classes)) * 3
    labels = np.where(random.random(n) < 0.8, reference.argmax(axis=1), random.integers(classes, size=n))
    candidate = reference + random.normal(size=(n, classes)) * noise
    return Outputs("classification", reference.astype(dtype), candidate.astype(dtype), labels.astype(np.int32))


def softmax(outputs: Outputs, *, step: float = 0.0) -> Outputs:
    """The same with probabilities; those of the variant are rounded to a step, as codes are."""

    def shares(values: Array) -> Array:
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    candidate = shares(outputs.candidate)
    candidate = np.round(candidate / step) * step if step else candidate
    dtype = outputs.reference.dtype
    return Outputs(outputs.task, shares(outputs.reference).astype(dtype), candidate.astype(dtype), outputs.labels)


def spoiled(outputs: Outputs, *, reference: Mapping[Any, float], candidate: Mapping[Any, float]) -> Outputs:
    """The same with some elements that are not finite, by their places."""
    sides = outputs.reference.copy(), outputs.candidate.copy()
    for values, places in zip(sides, (reference, candidate), strict=True):
        for place, value in places.items():
            values[place] = value
    return Outputs(outputs.task, *sides, outputs.labels)


def unlabelled(outputs: Outputs) -> Outputs:
    return Outputs("similarity", outputs.reference, outputs.candidate)


def numbers(seed: int, shape: tuple[int, ...], *, noise: float, task: Task = "regression") -> Outputs:
    random = np.random.default_rng(seed)
    reference = random.normal(size=shape) * 5
    candidate = reference + random.normal(size=shape) * noise
    truth = reference + random.normal(size=shape)
    labels = truth.astype(np.float64) if task == "regression" else None
    return Outputs(task, reference.astype(np.float32), candidate.astype(np.float32), labels)


def ties() -> Outputs:
    random = np.random.default_rng(5)
    reference, candidate = (random.integers(0, 3, size=(400, 12)).astype(np.float32) for _ in range(2))
    return Outputs("classification", reference, candidate, random.integers(0, 12, size=400).astype(np.int32))


def one_class_lost() -> Outputs:
    """A variant that never answers class 3."""
    given = logits(9, 600, 6, noise=0.01)
    candidate = given.candidate.copy()
    candidate[:, 3] = -50
    return Outputs(given.task, given.reference, candidate, given.labels)


def constant_output() -> Outputs:
    given = logits(10, 300, 10, noise=0.1)
    return Outputs(given.task, given.reference, np.full_like(given.candidate, 0.25), given.labels)


NAN, INFINITY = math.nan, math.inf

STUDIES = {
    "a classifier with logits": logits(0, 1000, 10, noise=0.3),
    "of float64": logits(1, 500, 10, noise=0.3, dtype="float64"),
    "with probabilities": softmax(logits(2, 800, 10, noise=0.3)),
    "probabilities of codes, some 0": softmax(logits(3, 800, 20, noise=0.5), step=1 / 256),
    "a thousand classes": logits(4, 200, 1000, noise=0.2),
    "ties": ties(),
    "two classes in two columns": softmax(logits(6, 300, 2, noise=1.0)),
    "the same outputs": logits(7, 100, 5, noise=0.0),
    "one sample": logits(8, 1, 5, noise=0.1),
    "one class is lost": one_class_lost(),
    "constant": constant_output(),
    "NaN in the variant": spoiled(
        logits(11, 200, 10, noise=0.1), reference={}, candidate={(3, 2): NAN, (7, 0): INFINITY}
    ),
    "NaN in the reference": spoiled(
        logits(12, 200, 10, noise=0.1),
        reference={(3, 2): NAN, (9, 1): INFINITY, (11, 4): -INFINITY},
        candidate={(3, 2): NAN, (9, 1): -INFINITY, (50, 1): NAN},
    ),
    "probabilities without labels": unlabelled(softmax(logits(13, 300, 7, noise=0.4))),
    "logits without labels": unlabelled(logits(14, 300, 7, noise=0.4)),
    "an image": numbers(15, (6, 20, 30, 3), noise=0.01, task="similarity"),
    "a regression": numbers(16, (500, 1), noise=0.05),
    "a regression of many numbers": numbers(17, (60, 4, 5), noise=0.5),
    "a regression with infinity": spoiled(
        numbers(18, (50, 3), noise=0.05), reference={}, candidate={(4, 1): INFINITY, (5, 0): NAN}
    ),
    "a regression that does not change": numbers(19, (40, 2), noise=0.0),
    "a binary classifier with one probability": Outputs(
        "classification",
        np.random.default_rng(20).random((400, 1)).astype(np.float32),
        np.random.default_rng(21).random((400, 1)).astype(np.float32),
        np.random.default_rng(22).integers(0, 2, size=400).astype(np.int32),
    ),
    "codes of integers": Outputs(
        "classification",
        np.random.default_rng(23).integers(0, 256, (300, 11)).astype(np.uint8),
        np.random.default_rng(24).integers(0, 256, (300, 11)).astype(np.uint8),
        np.random.default_rng(25).integers(0, 11, size=300).astype(np.int32),
    ),
}

COUNTS = (
    *((0, 0, 1), (0, 0, 200), (1, 0, 1), (0, 1, 1), (1, 0, 10), (3, 1, 100), (10, 10, 400), (40, 2, 60), (2, 40, 60)),
    *((0, 30, 30), (30, 0, 30), (7, 2, 50_000), (300, 250, 10_000), (1, 99, 100)),
)


def layer(seed: int, shape: tuple[int, ...], *, noise: float) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    expected = np.maximum(random.normal(size=shape), 0) * 10.0 ** random.uniform(-3, 3, size=shape[-1])
    return expected.astype(np.float32), (expected * (1 + random.normal(size=shape) * noise)).astype(np.float32)


def not_finite() -> tuple[Array, Array]:
    expected, actual = layer(5, (4, 50, 3), noise=0.01)
    expected[0, 0, 0], actual[0, 0, 0], actual[1, 1, 1], expected[2, 0, 2], actual[2, 0, 2] = NAN, NAN, INFINITY, 0, NAN
    return expected, actual


def silent_channels() -> tuple[Array, Array]:
    expected, actual = layer(6, (4, 50, 5), noise=0.0)
    expected[..., 1], actual[..., 1], expected[..., 3], actual[..., 3] = 0, 1e-3, 0, 0
    return expected, actual


LAYERS = {
    "channels of many scales": layer(0, (8, 12, 12, 32), noise=0.01),
    "no error": layer(1, (8, 40), noise=0.0),
    "few errors": (
        np.ones((8, 100), np.float32),
        np.where(np.arange(800).reshape(8, 100) % 97, 1, 1.5).astype(np.float32),
    ),
    "one value a sample": layer(2, (64, 1), noise=0.3),
    "NaN and infinity": not_finite(),
    "channels that are 0": silent_channels(),
    "zeros everywhere": (np.zeros((4, 6), np.float32), np.full((4, 6), 1e-30, np.float32)),
    "subnormal errors": (np.ones((4, 6), np.float32) * 1e-38, np.ones((4, 6), np.float32) * np.float32(1.0000001e-38)),
}

NAMES = {
    "Keras 3": [
        "StatefulPartitionedCall/m_1/block_1/conv_1/convolution",
        "StatefulPartitionedCall/m_1/dense_1/add",
        "x",
    ],
    "a layer that is called twice": ["m_1/dense_1/MatMul", "m_1/dense_2/MatMul", "m_1/dense_1_1/BiasAdd"],
    "Keras 2": ["model/conv2d_1/Conv2D", "model/conv2d_1/BiasAdd;model/re_lu/Relu", "model/batchnorm/batchnorm/mul_1"],
    "a loop": ["model/lstm/while/body/_9/model/lstm/while/lstm_cell/MatMul", "while/body/_1/dense/MatMul"],
    "no scopes": ["a", "b:1", "Identity"],
    "an inlined function": ["Func/StatefulPartitionedCall/input/_0", "model/dense/MatMul"],
    "one layer": ["dense/MatMul", "dense/BiasAdd"],
}


def asked_of(outputs: Outputs) -> dict[str, Any]:
    return {
        "task": outputs.task,
        "reference": given(outputs.reference),
        "candidate": given(outputs.candidate),
        "labels": None if outputs.labels is None else given(outputs.labels),
    }


@pytest.fixture(scope="module")
def in_the_tab():
    program, _ = find_node()
    layers = [
        {
            "expected": given(expected),
            "actual": given(actual),
            "width": expected.shape[-1],
            "batch": expected.size // len(expected),
        }
        for expected, actual in LAYERS.values()
    ]
    studies = [asked_of(outputs) for outputs in STUDIES.values()]
    asked = {"studies": studies, "counts": COUNTS, "layers": layers, "names": list(NAMES.values())}
    script = _SCRIPT.replace("TAB", TAB.as_uri())
    answered = subprocess.run(
        [program, "--input-type=module", "--eval", script],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answered.stdout, parse_constant=None)


@pytest.mark.parametrize(("place", "name"), [pytest.param(*item, id=item[1]) for item in enumerate(STUDIES)])
def test_every_figure_is_pythons(place, name, in_the_tab, tmp_path):
    scores, reference, notes = compared_by_python(STUDIES[name], tmp_path)
    told = in_the_tab["studies"][place]
    assert differences(told["scores"], scores) == {}
    assert differences(told["reference"], reference) == {}
    assert told["notes"] == notes


@pytest.mark.parametrize(("place", "counts"), [pytest.param(*item, id=str(item[1])) for item in enumerate(COUNTS)])
def test_intervals_are_pythons(place, counts, in_the_tab):
    forth, back, n = counts
    expected = [tango(forth, back, n=n), wilson(forth, n), clopper_pearson(forth, n)]
    for told, interval in zip(in_the_tab["intervals"][place], expected, strict=True):
        assert told["lower"] == pytest.approx(interval.lower, rel=1e-12, abs=1e-15)
        assert told["upper"] == pytest.approx(interval.upper, rel=1e-12, abs=1e-15)


def test_p_values_are_pythons(in_the_tab):
    forth, back, _ = (np.array(column) for column in zip(*COUNTS, strict=True))
    assert in_the_tab["tests"] == pytest.approx(holm(mcnemar_of_loss(forth, back)).tolist(), rel=1e-12)


@pytest.mark.parametrize(("place", "name"), [pytest.param(*item, id=item[1]) for item in enumerate(LAYERS)])
def test_figures_of_layers_are_pythons(place, name, in_the_tab):
    expected, actual = LAYERS[name]
    parts = (LayerError.of(*pair, channels=True) for pair in zip(expected[:, None], actual[:, None], strict=True))
    row = measured_row(
        Trial("x", "y"),
        TapSpec("t", (), "float32", "Relu"),
        Alignment("t", "t", "z"),
        "reference",
        place=0,
        error=sum(parts, LayerError()),
    )
    figures = asdict(row)
    told = in_the_tab["layers"][place]
    assert set(told) <= set(figures)
    assert {key: (told[key], figures[key]) for key in told if not same(told[key], figures[key])} == {}


@pytest.mark.parametrize(("place", "name"), [pytest.param(*item, id=item[1]) for item in enumerate(NAMES)])
def test_names_of_layers_are_pythons(place, name, in_the_tab):
    assert in_the_tab["names"][place] == layers_of(NAMES[name])
