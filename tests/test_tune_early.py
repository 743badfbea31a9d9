"""A search that no verdict could be given about is refused before anything is converted; a warning names its formats.

The toy format is that of `toy_format`, and the reference an ONNX model.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from study_fixtures import Heard
from toy_format.study import WITH_TOY, WITH_TUNED_TOY, kernel_and_bias, write_model

from quantlab.errors import QuantlabError
from quantlab.study import AnalyzeOptions, TuneOptions, tune
from quantlab.types import Budget

pytestmark = pytest.mark.starts_children

OPTIONS = AnalyzeOptions(settings=("toy-int8",), runtimes=("python",), layers=False, costs=False, download_sizes=False)
WITH_OTHERS = replace(
    WITH_TOY,
    formats={**WITH_TOY.formats, **WITH_TUNED_TOY.formats},
    converters={**WITH_TOY.converters, **WITH_TUNED_TOY.converters},
)
"""The toy format beside those of quantlab."""
MARGIN = Budget(max_accuracy_loss="5pt")
N = 200


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("toys") / "one_dense.onnx"
    write_model(file)
    return file


def arrays(n=N):
    kernel, bias = kernel_and_bias()
    x = np.random.default_rng(1).normal(size=(n, len(kernel))).astype(np.float32)
    return {"x": x, "y": (x @ kernel + bias).argmax(axis=1)}


def unlabelled():
    return {"x": arrays()["x"]}


def shuffled():
    right = arrays()
    return {**right, "y": np.random.default_rng(3).permutation(right["y"])}


CASES = {
    "no labels": (
        unlabelled,
        MARGIN,
        (
            "the budget limits the loss to 5pt, and the samples have no labels; give samples with labels, or use "
            "min_agreement instead"
        ),
    ),
    "few samples": (
        lambda: arrays(20),
        MARGIN,
        "5 samples are too few for a verdict; score at least 10, and more for a smaller allowed loss",
    ),
    "a model that guesses": (
        shuffled,
        MARGIN,
        (
            "the model itself is right on 37.0 % of 100 samples (95 % interval 28.2 to 46.8), which is not shown to be "
            "better than chance: always answering class 2, the most frequent, is right on 53.0 %. Nothing can be "
            "judged against it; check the preprocessing and the order of the labels, or insist with "
            "--allow-poor-reference"
        ),
    ),
    "an unknown output": (
        arrays,
        Budget(min_sqnr="nonsense=30dB"),
        "the model has no output 'nonsense' to be limited by min_sqnr; choose from y",
    ),
    "a channel of the scored output": (
        arrays,
        Budget(min_sqnr="y[1]=30dB"),
        (
            "the budget sets no limit of the loss that a search looks at, so the smallest artifact would be chosen "
            "whatever it loses; give max_accuracy_loss (0.5pt), min_agreement (99%) or min_sqnr (40dB), which counts "
            "for the scored output 'y'"
        ),
    ),
}
"""Name → the samples, the budget and the message."""


def tuned(model, folder, samples, budget, *, registries=WITH_TUNED_TOY, heard=None, **options):
    np.savez(folder / "samples.npz", **samples)
    return tune(
        model,
        data=str(folder / "samples.npz"),
        search=TuneOptions(budget),
        options=replace(OPTIONS, out=folder / "toy.study", **options),
        progress=heard or Heard(),
        registries=registries,
    )


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_before_anything_is_converted(name, model, tmp_path):
    samples, budget, message = CASES[name]
    heard = Heard()
    with pytest.raises(QuantlabError) as refused:
        tuned(model, tmp_path, samples(), budget, heard=heard)
    assert str(refused.value) == message
    assert not [step for step in heard.ended if step.startswith("convert")]
    assert not (tmp_path / "toy.study" / "variants").exists()


def test_a_model_with_nan_names_the_command(tmp_path):
    """It is not told to run another command than the one that it was given to."""
    import onnx

    write_model(tmp_path / "nan.onnx")
    broken = onnx.load(tmp_path / "nan.onnx")
    kernel = next(one for one in broken.graph.initializer if one.name == "kernel")
    kernel.raw_data = np.full(len(kernel.raw_data) // 4, np.nan, np.float32).tobytes()
    onnx.save(broken, tmp_path / "nan.onnx")
    with pytest.raises(QuantlabError) as refused:
        tuned(tmp_path / "nan.onnx", tmp_path, arrays(), MARGIN, registries=WITH_OTHERS)
    assert str(refused.value) == (
        "the model itself is NaN or infinite on all 100 samples, so nothing can be judged against it; correct the "
        "model, and run 'quantlab tune' again"
    )


def test_the_reference_runs_once_on_each_part(model, tmp_path):
    """What the check ran is kept: the search and the table read it."""

    class Counting(Heard):
        def end(self, step, outcome):
            outcomes.append((step, outcome))

    outcomes = []
    found = tuned(model, tmp_path, arrays(), MARGIN, heard=Counting())
    assert (found.study.samples.n, found.study.search.n) == (100, 50)
    ran = [outcome for step, outcome in outcomes if step == "run reference in python"]
    assert ran == ["done", "done", "kept", "kept"]


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        pytest.param(
            ("toy-int8",),
            [
                (
                    "artifacts of toy are searched, and not those of onnx, which the target 'any' takes, too; to "
                    "search them, name settings of theirs in --settings"
                )
            ],
            id="one of two",
        ),
        pytest.param(("toy-int8", "onnx-int8"), [], id="both"),
    ],
)
def test_the_formats_that_are_left_out_are_named(settings, warned, model, tmp_path):
    heard = Heard()
    with pytest.raises(QuantlabError, match="the samples have no labels"):
        tuned(model, tmp_path, unlabelled(), MARGIN, registries=WITH_OTHERS, heard=heard, settings=settings)
    assert heard.warnings == warned
