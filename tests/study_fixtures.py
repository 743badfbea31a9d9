"""Fixtures for tests of studies: a study of the embedded example, and small models.

conftest.py registers the fixtures for all test files. A prepared study is cached (see `kept`), and tests that change it
get a copy. The copy has an opened model, converted variants and stored outputs, so that a test repeats only what it
tests.

PYTEST_DONT_REWRITE: test files import this module before pytest learns that it is a plugin too.
"""

import contextlib
import hashlib
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import quantlab_in_process
from kept import QUANTLAB, kept, make_in_fork
from small_models import SmallModel

from quantlab import AnalyzeOptions, analyze
from quantlab.demo import MODEL
from quantlab.demo.digits import samples
from quantlab.processes import Document, Emit, serve
from quantlab.store import Store
from quantlab.types import (
    Equivalence,
    Failure,
    Interval,
    ModelDescription,
    Port,
    SampleSet,
    Scores,
    Study,
    TensorSpec,
    Timing,
    Trial,
    Variant,
)
from quantlab_reports import Table, trial_table

__all__ = [
    "ALONE",
    "DIGITS",
    "RECURRENT",
    "Heard",
    "a_failure",
    "a_study",
    "a_trial",
    "a_variant",
    "check_rendering",
    "digits_study",
    "outputs_of",
    "own_models",
    "place",
    "read_study",
    "recurrent_begun",
    "rezipped",
    "scores",
    "snapshot",
]


@dataclass(slots=True)
class Heard:
    """A progress that remembers how each step ended, and how many samples a step told of."""

    ended: dict[str, str] = field(default_factory=dict)
    samples: Counter[str] = field(default_factory=Counter)
    planned: dict[str, int] = field(default_factory=dict)
    worked: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)

    def plan(
        self,
        phase: str,
        units: int,
        unit_seconds: float | None = None,  # noqa: ARG002 (unused here)
        *,
        beside: str | None = None,  # noqa: ARG002 (unused here)
    ) -> None:
        self.planned[phase] = units

    def work(self, phase: str, units: int) -> None:
        self.worked[phase] += units

    def skip(self, phase: str, units: int) -> None:
        self.skipped[phase] += units

    def begin(self, step: str, samples: int = 0) -> None: ...

    def advance(self, step: str, samples: int) -> None:
        self.samples[step] += samples

    def end(self, step: str, outcome: str) -> None:
        self.ended[step] = outcome

    def warn(self, text: str) -> None:
        self.warnings.append(text)


# Studies


@pytest.fixture(scope="session")
def digits_study(request: pytest.FixtureRequest) -> Path:
    """A folder with `digits.keras`, `digits.npz` and `digits.study`, to be copied by `place`."""
    return kept(request, "digits", ("study_fixtures.py", "command_line.py", *QUANTLAB), _make_digits_study)


def _make_digits_study(folder: Path) -> None:
    shutil.copy(MODEL, folder / "digits.keras")
    x, y = samples()
    np.savez(folder / "digits.npz", x=x, y=y)
    done = quantlab_in_process(*DIGITS, cwd=folder)
    assert done.status == 0, done.stderr


ALONE = ("--no-layers", "--no-costs")
"""The table alone, which is what a test pays for that asks for no more."""

DIGITS = ("analyze", "digits.keras", "--data", "digits.npz", "--settings", "tfjs-uint8,tflite-dynamic", *ALONE)
"""The command that the prepared study was made with; in both default runtimes."""


@pytest.fixture
def place(digits_study: Path, tmp_path: Path) -> Path:
    """A copy of the prepared folder, to work in."""
    return shutil.copytree(digits_study, tmp_path / "place")


RECURRENT = ("tfjs-uint8", "tfjs-uint8-per-channel", "tflite-float16", "tflite-dynamic", "tflite-int8", "onnx-float32")
"""The settings that tests study of `keras3_recurrent`."""


@pytest.fixture(scope="session")
def recurrent_begun(request: pytest.FixtureRequest, small_models: dict[str, SmallModel]) -> Callable[[Path], Path]:
    """Makes a folder for a study of `keras3_recurrent` in which the model is opened and the variants are there.

    To open a model of loops takes seconds, and so do its conversions. Beside the folder lie the model and samples,
    `steps.npz`, which are to be named relative to it: an opened model is known by its path, too.
    """

    def make(folder: Path) -> None:
        np.savez(folder / "steps.npz", x=np.random.default_rng(0).normal(size=(40, 4, 3)).astype(np.float32))
        options = AnalyzeOptions(
            settings=RECURRENT,
            runtimes=("python",),
            score_output="output_0",
            layers=False,
            costs=False,
            out=folder / "study",
        )
        shutil.copy(small_models["keras3_recurrent"].path, folder)
        with contextlib.chdir(folder):
            analyze("keras3_recurrent.keras", data="steps.npz", options=options)

    sources = ("study_fixtures.py", "small_models.py", "recurrent_models.py", *QUANTLAB)
    begun = kept(request, "recurrent", sources, make)

    def copy(out: Path) -> Path:
        out.parent.mkdir(parents=True, exist_ok=True)
        for file in ("keras3_recurrent.keras", "steps.npz"):
            shutil.copy(begun / file, out.parent)
        for part in ("model", "variants"):
            shutil.copytree(begun / "study" / part, out / part)
        return out

    return copy


def read_study(folder: Path) -> Study:
    """The record of a study."""
    return Store(folder).read_study()


def outputs_of(study: Study, setting: str, runtime: str) -> np.ndarray:
    """The scored output of a row, or of the reference."""
    rows = (study.reference, *study.trials)
    row = next(trial for trial in rows if (trial.setting, trial.runtime) == (setting, runtime))
    return np.load(row.outputs[study.scored_output])


def snapshot(folder: Path) -> dict[str, str]:
    """The hash of every file that is work done, by its path: what must survive whatever goes wrong."""
    files = sorted(folder.rglob("*")) if folder.is_dir() else []
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file() and file.relative_to(folder).parts[0] not in {"work", ".lock"}
    }


def rezipped(source: Path, target: Path, **changed: Callable[[str], str]) -> Path:
    """A copy of a `.keras` file in which some members are rewritten; `config_json` stands for `config.json`."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            change = changed.get(name.replace(".", "_"))
            data = old.read(name)
            new.writestr(name, change(data.decode()) if change else data)
    return target


@pytest.fixture(scope="session")
def own_models(request: pytest.FixtureRequest) -> Path:
    """A folder with the models of `MAKERS`."""

    def make(folder: Path) -> None:
        make_in_fork("study_fixtures", {"folder": str(folder)}, folder / "made.log")

    return kept(request, "own-models", ("study_fixtures.py",), make)


# Studies by hand


def a_variant(folder: Path, name: str = "tfjs-uint8", **changed: Any) -> Variant:
    """What a converter made, in a study's folder."""
    format_name = name.partition("-")[0]
    port = Port("image", "image:0", 0, (None, 8, 8, 1), "float32")
    made = Variant(
        name=name,
        format=format_name,
        path=folder / "variants" / name / "0123456789abcdef" / "artifact",
        sha256="c" * 64,
        size_bytes=20_000,
        gzip_bytes=7_400,
        inputs=(port,),
        outputs=(replace(port, name="output_0", tensor="Identity:0", shape=(None, 10)),),
        weights={"uint8": 6_000, "int32": 16},
        brotli_bytes=6_900,
        convert_seconds=1.25,
    )
    return replace(made, **changed)


def scores(**changed: Any) -> Scores:
    """Of a candidate on labelled classes."""
    values = {
        "n": 1000,
        "top1": 97.3,
        "top1_interval": Interval(96.1, 98.1),
        "top5": 99.9,
        "top1_loss_points": 0.1,
        "top1_loss_interval": Interval(-0.3, 0.6),
        "top5_loss_points": 0.0,
        "agreement": 99.8,
        "agreement_interval": Interval(99.3, 99.9),
        "right_to_wrong": 2,
        "wrong_to_right": 1,
        "max_abs_error": 0.0123,
        "rms_error": 0.00045,
        "sqnr_db": 48.26,
        "cosine": 0.999991,
        "kl_mean": 0.000123,
        "kl_standard_error": 0.00001,
        "kl_infinite": 0,
        "kl_undefined": 0,
        "total_variation": 0.0051,
        "jensen_shannon": 0.000031,
        "non_finite": 0,
    }
    return Scores(**{**values, **changed})


def a_trial(folder: Path, setting: str = "tfjs-uint8", runtime: str = "python", **changed: Any) -> Trial:
    """A row that was measured."""
    row = Trial(
        setting=setting,
        runtime=runtime,
        ran_on=runtime,
        variant=a_variant(folder, setting),
        scores=scores(),
        timing=Timing(1000, 0.1),
        environment={"threads": "1"},
        outputs={"output_0": folder / "outputs" / setting / runtime / "0123456789abcdef" / "output_0.npy"},
    )
    return replace(row, **changed)


def a_failure(folder: Path, reason: str, **changed: Any) -> Trial:
    """A row that was not."""
    nothing = {"scores": None, "timing": None, "ran_on": None, "environment": {}, "outputs": {}}
    return a_trial(folder, **{**nothing, "failure": Failure(reason, "run"), **changed})


def a_study(folder: Path, **changed: Any) -> Study:
    """A study of every kind of row, written by hand: nothing of it was run."""
    image = TensorSpec("image", (None, 8, 8, 1), "float32")
    aside = SampleSet(
        folder / "samples" / "calibration" / "cba987654321", (image,), 256, True, "e" * 64, "x.npz", 1256, ""
    )
    python = {"threads": "1", "tensorflow": "2.19.0"}
    study = Study(
        model=ModelDescription(
            "my_model.keras", "Keras 3", "a" * 64, (image,), (TensorSpec("output_0", (None, 10), "float32"),), 6330
        ),
        samples=replace(
            aside,
            folder=folder / "samples" / "data" / "123456789abc",
            n=1000,
            sha256="d" * 64,
            drawn="stratified, seed 0",
        ),
        calibration=replace(aside, drawn="stratified, seed 0"),
        task="classification",
        scored_output="output_0",
        classes=True,
        probabilities=True,
        batch_size=32,
        seed=0,
        reference=a_trial(
            folder,
            "reference",
            variant=None,
            environment=python,
            scores=Scores(n=1000, top1=97.4, top1_interval=Interval(96.2, 98.2), top5=99.9, non_finite=0),
        ),
        trials=(
            a_trial(folder, "tfjs-float32", requested=False, notes=("added automatically as the float32 baseline",)),
            a_trial(folder),
            a_trial(
                folder,
                runtime="node-wasm",
                max_abs_from_python=2.4e-7,
                flips_from_python=0,
                equivalence=Equivalence(1000, 0, 0.2991, -0.2991, 0.2991, became_wrong=0, became_right=0),
            ),
            a_trial(folder, "tflite-dynamic"),
            a_failure(folder, "wasm has no Einsum; use --fallback", setting="tflite-dynamic", runtime="node-wasm"),
            a_trial(folder, "mine", variant=a_variant(Path("/elsewhere"), "mine", format="tflite", given=True)),
        ),
        parity={"tfjs": "ok: 1.2e-06"},
        seconds={"all": 12.5},
        versions={"quantlab": "0.1.0", "tensorflow": "2.19.0"},
        created="2026-01-02T03:04:05+00:00",
    )
    return replace(study, **changed)


# The contract of renderers


def check_rendering(write: Callable[[Table], str], study: Study) -> None:
    """What every way to show a study must hold, whatever its name.

    It is text without a newline at its end, the same for the same study, in which every row and every word of a
    failure's reason is found, and nothing as Python writes it; wide it tells no less.
    """

    def render(study: Study, *, wide: bool) -> str:
        return write(trial_table(study, wide=wide))

    for wide in (False, True):
        text = render(study, wide=wide)
        assert text == render(study, wide=wide)
        assert text
        assert text == text.rstrip("\n")
        words = set(re.findall(r"[A-Za-z]+", text))
        assert not {"nan", "inf", "None"} & words
        for trial in (study.reference, *study.trials):
            assert trial.setting in text
            reason = trial.failure.reason if trial.failure else ""
            assert set(re.findall(r"[A-Za-z]+", reason)) <= words, reason
    assert len(render(study, wide=True)) >= len(render(study, wide=False))


# Models made on the spot


def _attention(folder: Path) -> None:
    """Keras 3 with an op that tfjs has in JavaScript and not in WebAssembly: Einsum."""
    import keras

    keras.utils.set_random_seed(3)
    words = keras.Input((6, 4), name="words")
    attended = keras.layers.MultiHeadAttention(1, 4, name="attention")(words, words)
    scores = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(attended))
    keras.Model(words, scores).save(folder / "attention.keras")


def _noisy(folder: Path) -> None:
    """A tf.Module that throws dice."""
    import tensorflow as tf

    module = tf.Module()
    call = tf.function(lambda values: {"scores": values + tf.random.normal(tf.shape(values), stddev=0.1)})
    signature = call.get_concrete_function(tf.TensorSpec([None, 8], tf.float32, name="values"))
    tf.saved_model.save(module, str(folder / "noisy"), signatures=signature)


def _crowd(folder: Path) -> None:
    """A tf.Module that answers by what else is in the batch."""
    import tensorflow as tf

    module = tf.Module()
    call = tf.function(lambda values: {"scores": values - tf.reduce_mean(values, axis=0)})
    signature = call.get_concrete_function(tf.TensorSpec([None, 3], tf.float32, name="values"))
    tf.saved_model.save(module, str(folder / "crowd"), signatures=signature)


def _ports(folder: Path) -> None:
    """A tf.Module with two inputs and two outputs: a price, and how likely it is spam.

    The price goes by the difference of two integers, which float32 could not tell apart.
    """
    import tensorflow as tf

    module = tf.Module()
    weights = np.random.default_rng(5).normal(size=(5, 2)).astype(np.float32)
    np.savez(folder / "ports-weights.npz", weights=weights)
    module.weights = tf.Variable(weights)

    @tf.function
    def call(counts: Any, values: Any) -> Any:
        apart = tf.cast(counts[:, :1] - counts[:, 1:], tf.float32)
        known = tf.concat([values, apart], axis=1)
        return {"price": known @ module.weights[:, :1], "spam": tf.sigmoid(known @ module.weights[:, 1:])}

    counts = tf.TensorSpec([None, 2], tf.int32, name="counts")
    values = tf.TensorSpec([None, 4], tf.float32, name="values")
    module.call = call
    signature = call.get_concrete_function(counts=counts, values=values)
    tf.saved_model.save(module, str(folder / "ports"), signatures=signature)


def _twice(folder: Path) -> None:
    """A tf.Module with two signatures that differ in nothing but what they answer."""
    import tensorflow as tf

    module, spec = tf.Module(), tf.TensorSpec([None, 3], tf.float32, name="values")
    doubled = tf.function(lambda values: {"scores": 2.0 * values}).get_concrete_function(spec)
    tripled = tf.function(lambda values: {"scores": 3.0 * values}).get_concrete_function(spec)
    tf.saved_model.save(module, str(folder / "twice"), signatures={"doubled": doubled, "tripled": tripled})


def _silent(folder: Path) -> None:
    """Keras 3 with the logarithm of what may be 0, and a ReLU in which TensorFlow turns the NaN of that into 0."""
    import keras

    keras.utils.set_random_seed(0)
    loudness = keras.Input((16,), name="loudness")
    values = keras.ops.log(loudness)
    values = keras.ops.subtract(values, keras.ops.mean(values, 1, keepdims=True))
    values = keras.layers.Dense(8, activation="relu", name="heard")(values)
    scores = keras.layers.Dense(3, activation="softmax", name="word")(values)
    keras.Model(loudness, scores, name="listener").save(folder / "silent.keras")


def _spoiled_norm(folder: Path) -> None:
    """Keras 3 and 2 with a batch norm in which one moving variance is NaN."""
    import keras
    import tf_keras

    for library, name in ((keras, "spoiled_norm.keras"), (tf_keras, "spoiled_norm.h5")):
        library.utils.set_random_seed(0)
        values = library.Input((16,), name="values")
        norm = library.layers.BatchNormalization(name="norm")
        hidden = norm(library.layers.Dense(8, activation="relu", name="first")(values))
        model = library.Model(values, library.layers.Dense(4, activation="softmax", name="last")(hidden))
        weights = norm.get_weights()
        weights[3][2] = np.nan
        norm.set_weights(weights)
        model.save(folder / name)


def _spoiled_hidden(folder: Path) -> None:
    """Keras 3 with a NaN in a kernel, which the ReLU after it turns into 0 in TensorFlow."""
    import keras

    keras.utils.set_random_seed(0)
    values = keras.Input((16,), name="values")
    first = keras.layers.Dense(8, activation="relu", name="first")
    model = keras.Model(values, keras.layers.Dense(4, activation="softmax", name="last")(first(values)))
    kernel, bias = first.get_weights()
    kernel[3, 5] = np.nan
    first.set_weights([kernel, bias])
    model.save(folder / "spoiled_hidden.keras")


def _spoiled_bfloat16(folder: Path) -> None:
    """Keras 3 with a NaN in a kernel of bfloat16."""
    import keras

    keras.utils.set_random_seed(0)
    values = keras.Input((16,), name="values")
    first = keras.layers.Dense(8, dtype="bfloat16", name="first")
    model = keras.Model(values, keras.layers.Activation("softmax", dtype="float32", name="last")(first(values)))
    kernel = np.asarray(first.kernel.numpy())
    kernel[3, 5] = np.nan
    first.kernel.assign(kernel)
    model.save(folder / "spoiled_bfloat16.keras")


def _uneven(folder: Path) -> None:
    """Keras 3 with one depthwise layer whose channels differ by 10⁴ in range."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 4), name="image")
    even = keras.layers.Conv2D(4, 3, padding="same", name="even")(image)
    uneven = keras.layers.DepthwiseConv2D(3, padding="same", name="uneven")(even)
    answer = keras.layers.Dense(3, name="answer")(keras.layers.Flatten(name="flat")(uneven))
    model = keras.Model(image, answer)
    layer = model.get_layer("uneven")
    layer.set_weights([layer.get_weights()[0] * np.float32([1e4, 1, 1, 1])[:, None], layer.get_weights()[1]])
    model.save(folder / "uneven.keras")


def _loop(folder: Path) -> None:
    """Keras 3 with an LSTM, whose kernels are constants in the body of a loop once it is frozen."""
    import keras

    keras.utils.set_random_seed(0)
    steps = keras.Input((4, 3), name="steps")
    lstm = keras.layers.LSTM(3, bias_initializer="random_normal", name="lstm")
    keras.Model(steps, lstm(steps)).save(folder / "loop.keras")


def _unet(folder: Path) -> None:
    """Keras 3: a U-Net that answers, for each pixel, mostly the channel of the image that is largest there."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((8, 8, 3), name="image")
    wide = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    deep = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D()(wide))
    joined = layers.Concatenate()([layers.UpSampling2D()(deep), wide, image])
    last = layers.Conv2D(3, 1, activation="softmax", name="map")
    model = keras.Model(image, last(joined))
    kernel, bias = last.get_weights()
    kernel[0, 0, -3:] = 6 * np.eye(3)
    last.set_weights([kernel, bias])
    model.save(folder / "unet.keras")


MAKERS = (
    _attention,
    _noisy,
    _crowd,
    _ports,
    _twice,
    _silent,
    _spoiled_norm,
    _spoiled_hidden,
    _spoiled_bfloat16,
    _unet,
    _uneven,
    _loop,
)


def _make_own_models(request: Document, _emit: Emit) -> None:
    for maker in MAKERS:
        maker(Path(request["folder"]))


if __name__ == "__main__":
    serve(_make_own_models)
