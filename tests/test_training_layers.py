"""Models of both versions of Keras that answer as in training, and what is said before they are converted."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from kept import QUANTLAB, kept, make_in_fork
from study_fixtures import Heard
from training_models import MODULE

from quantlab import AnalyzeOptions, analyze, convert
from quantlab.formats import FORMATS
from quantlab.store import Store
from quantlab.study.reference import Probe
from quantlab.study.suspicions import repeatability, unstable_reference
from quantlab.types import ReferenceCheck, Study, TrainingLayer

pytestmark = pytest.mark.starts_children


@pytest.fixture(scope="module")
def models(request: pytest.FixtureRequest) -> Path:
    """A folder with the models, and with what was found about each."""

    def make(folder: Path) -> None:
        make_in_fork(MODULE, {"folder": str(folder)}, folder / "made.log")

    return kept(request, "training-models", (f"{MODULE}.py", *QUANTLAB), make)


def check_of(models: Path, name: str) -> ReferenceCheck:
    found = json.loads((models / "found.json").read_text())[name]
    layers = [TrainingLayer(**{**layer, "effects": tuple(layer["effects"])}) for layer in found["layers"]]
    return repeatability(Probe((), **found["probe"]), layers)


def repeats(check: ReferenceCheck, layers: str) -> str:
    return (
        f"the model is not repeatable: a second call on the same samples gives other outputs (by up to "
        f"{100 * check.again:.2g} % of the largest output), because of {layers}; turn off random ops such as dropout, "
        f"because they change every figure below"
    )


def alone(check: ReferenceCheck, layers: str) -> str:
    return (
        f"the model gives other outputs for a sample alone than in a batch (by up to {100 * check.single:.2g} % of the "
        f"largest output), because of {layers}; remove statistics over the batch, because TFLite and ONNX files run "
        f"one sample at a time"
    )


def exported(check: ReferenceCheck, call: str, layers: str) -> str:
    apart = check.call if call == "model(x)" else check.predict
    return (
        f"the exported model, which every variant is made from and compared with, gives other outputs than {call} (by "
        f"up to {100 * apart:.2g} % of the largest output), because of {layers}; build the model so that these layers "
        f"are called without training=True, and save it again"
    )


DROPPED = "'dropped' (Dropout, called with training=True)"
NORMED = "'normed' (BatchNormalization, called with training=True)"
NOISY = "'noisy' (GaussianNoise, called with training=True)"
TURNED = "'turned' (RandomRotation, its argument 'training' defaults to True)"
SHAKEN = "'shaken' (Shaken, its argument 'training' defaults to True)"
INNER = "'inner' (Dropout, draws random numbers ({op}))"
SOCIABLE = "'sociable' (Sociable, computes statistics of the batch (Mean))"


@pytest.mark.parametrize(
    ("name", "sentences"),
    [
        # Keras 3 exports what model(x) computes, and there the argument of a call counts.
        ("dropout 3", [(repeats, DROPPED), (exported, "model.predict(x)", DROPPED)]),
        ("norm 3", [(alone, NORMED), (exported, "model.predict(x)", NORMED)]),
        ("noise 3", [(repeats, NOISY), (exported, "model.predict(x)", NOISY)]),
        ("augmentation 3", [(repeats, TURNED), (exported, "model.predict(x)", TURNED)]),
        ("truthy 3", [(repeats, SHAKEN), (exported, "model.predict(x)", SHAKEN)]),
        ("inside 3", [(repeats, INNER.format(op="StatelessRandomUniformV2"))]),
        ("batch 3", [(alone, SOCIABLE)]),
        ("clean 3", []),
        ("harmless 3", []),
        # Keras 2 exports the model in inference, and there too the argument of a call counts before.
        ("dropout 2", [(repeats, DROPPED)]),
        ("norm 2", [(alone, NORMED)]),
        ("noise 2", [(repeats, NOISY)]),
        ("augmentation 2", [(exported, "model(x)", TURNED)]),
        ("truthy 2", [(exported, "model(x)", SHAKEN)]),
        ("inside 2", [(repeats, INNER.format(op="RandomUniform"))]),
        ("batch 2", [(alone, SOCIABLE)]),
        ("clean 2", []),
        ("harmless 2", []),
    ],
)
def test_the_layers_that_act_as_in_training_are_named(name, sentences, models):
    check = check_of(models, name)
    assert unstable_reference(check, FORMATS) == [sentence(check, *words) for sentence, *words in sentences]


class Order(Heard):
    """Remembers what was heard before the first conversion began."""

    before: "list[str] | None" = None

    def begin(self, step: str, samples: int = 0) -> None:
        if step.startswith("convert ") and self.before is None:
            self.before = list(self.warnings)
        super().begin(step, samples)


@dataclass(frozen=True)
class Analyzed:
    """A study of a model whose batch norm acts as in training, its folder with the samples, and what was heard."""

    folder: Path
    study: Study
    heard: Order


@pytest.fixture(scope="module")
def analyzed(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Analyzed:
    folder, random, heard = tmp_path_factory.mktemp("norm"), np.random.default_rng(1), Order()
    np.savez(folder / "data.npz", x=random.normal(size=(90, 8, 8, 3)).astype(np.float32), y=np.arange(90) % 3)
    options = AnalyzeOptions(
        settings=("tflite-float32", "tfjs-float32", "tflite-int8"),
        runtimes=("python",),
        layers=False,
        costs=False,
        out=folder / "study",
    )
    study = analyze(models / "norm-3.keras", data=str(folder / "data.npz"), options=options, progress=heard)
    return Analyzed(folder, study, heard)


def test_a_study_names_the_layer_before_anything_is_converted(analyzed):
    study, heard = analyzed.study, analyzed.heard
    check = study.reference_check
    assert check is not None
    assert study.warnings[:2] == (alone(check, NORMED), exported(check, "model.predict(x)", NORMED))
    assert heard.before == list(study.warnings[:2])
    assert check.layers == (
        TrainingLayer("normed", "BatchNormalization", "called with training=True", ("batch", "state")),
    )
    assert Store(analyzed.folder / "study").read_study().reference_check == check
    record = json.loads((analyzed.folder / "study" / "study.json").read_text())["reference_check"]
    assert (record["layers"][0]["name"], record["predict"]) == ("normed", check.predict)


def test_a_failed_float32_check_of_such_a_model_does_not_blame_the_conversion(analyzed):
    [sentence] = [text for text in analyzed.study.warnings if text.startswith("float32 check failed")]
    assert sentence.endswith(
        " (output 'output_0'); the model itself gives other outputs for the same samples, as said above, so this tells "
        "nothing about the conversion"
    )
    [failed] = analyzed.study.failed
    assert failed.failure.reason == (
        "tfjs cannot freeze the graph, because 'normed_1' changes a variable whenever the model is called, as layers "
        "do that are stateful or called with training=True; build the model without that, or leave the tfjs settings "
        "out"
    )


def test_calibration_samples_that_cannot_be_looked_at_are_not_passed_over(analyzed, models, tmp_path):
    unsearched = (
        "it was not checked whether calibration samples make the model NaN or infinite inside, because its tensors "
        "cannot be read: 'normed_1' changes a variable whenever the model is called, as layers do that are stateful or "
        "called with training=True"
    )
    assert analyzed.study.warnings[-1] == unsearched
    heard = Heard()
    options = AnalyzeOptions(settings=("tflite-int8",), calibration=str(analyzed.folder / "data.npz"))
    made = convert(models / "norm-3.keras", out=tmp_path / "made", options=options, progress=heard)
    assert (made["tflite-int8"].is_dir(), heard.warnings) == (True, [unsearched])


@pytest.mark.parametrize("kind", ["norm", "batch", "clean", "harmless"])
@pytest.mark.parametrize("version", [3, 2])
def test_the_reference_is_what_the_export_computes(kind, version, models):
    assert json.loads((models / "found.json").read_text())[f"{kind} {version}"]["equals_export"]


def test_no_layer_is_blamed_for_another_export_where_none_acts_as_in_training():
    check = repeatability(Probe((), 0.0, 0.0, call=0.25), ())
    (sentence,) = unstable_reference(check, FORMATS)
    assert sentence == (
        "the exported model, which every variant is made from and compared with, gives other outputs than model(x) (by "
        "up to 25 % of the largest output); no layer that acts as in training was found, so check layers of your own "
        "for what they compute in a graph alone"
    )
