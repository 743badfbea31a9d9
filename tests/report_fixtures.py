"""A small study of every kind of thing that the report shows, written by hand."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from study_fixtures import scores
from verdict_fixtures import answers, flipped, write_study

from quantlab.formats import FORMATS, Format
from quantlab.statistics import compare_weights
from quantlab.store import Store
from quantlab.types import Inside, Interval, LayerRow, Scores, StoredWeight, Study, TensorSpec, WeightRow

__all__ = ["CLASSES", "LAYERS", "a_layer", "formats_with", "report_study", "with_inputs"]

CLASSES = ("bag", "boot", "coat", "dress", "pullover", "sandal", "shirt", "sneaker", "top", "trousers")
LAYERS = ("stem", "conv_1", "conv_2", "conv_3", "pool", "dense")
_N = 400
_LOST = {"tfjs-uint8": 40, "tfjs-float16": 4, "tfjs-float32": 0, "tflite-int8": 6}
"""Setting → samples that it answers wrong."""
_MORE = {("tflite-int8", "node-wasm"): 3}
"""Trials that answer more of them wrong."""
_SQNR = {"tfjs-uint8": 30.0, "tfjs-float16": 70.0, "tflite-int8": 45.0}


def report_study(folder: Path) -> Study:
    """Four settings of two formats in two runtimes, with layers, pictures, and names of files and classes."""
    labels = np.arange(_N) % len(CLASSES)
    candidates = {
        (setting, runtime): answers(labels, flipped(_N, range(_lost(setting, runtime))))
        for setting in _LOST
        for runtime in ("python", "node-wasm")
    }
    write_study(folder, labels, answers(labels), candidates)
    store = Store(folder)
    written = store.read_study()
    trials = tuple(replace(trial, scores=_scores(trial.setting, trial.runtime)) for trial in written.trials)
    store.write_study(replace(written, samples=replace(written.samples, classes=CLASSES), trials=trials))
    for trial in trials:
        trial.variant.path.mkdir(parents=True, exist_ok=True)
    np.save(written.samples.folder / "indices.npy", np.arange(_N))
    names = [f"{CLASSES[label]}/{place}.png" for place, label in enumerate(labels)]
    (written.samples.folder / "files.json").write_text(json.dumps(names), encoding="utf-8")
    with_inputs(folder, np.random.default_rng(0).integers(0, 255, (_N, 8, 8, 3), np.uint8))
    store.write_inside(Inside(_layers(_SQNR), _weight_rows(), (), (), samples=100, drawn="all"))
    return store.read_study()


def _lost(setting: str, runtime: str) -> int:
    return _LOST[setting] + _MORE.get((setting, runtime), 0)


def _scores(setting: str, runtime: str) -> Scores:
    loss = 100 * _lost(setting, runtime) / _N
    return scores(n=_N, top1_loss_points=loss, top1_loss_interval=Interval(loss - 1, loss + 1), agreement=100 - loss)


KERNEL = np.linspace(-1, 1, 72, dtype=np.float32).reshape(3, 3, 2, 4)
"""Float32 weights of `conv_2`; channel 0 has the smallest ones."""
_STEP = np.float32(2 / 3)
"""Codes 0 to 3 stand for −1, −⅓, ⅓ and 1."""


def formats_with(weights: Callable[[Path], Iterator[StoredWeight]] | None = None) -> dict[str, Format]:
    """The formats, whose readers find the weights of the study, or what a function finds."""
    return {name: replace(one, weights=weights or stored_weights) for name, one in FORMATS.items()}


def stored_weights(artifact: Path) -> Iterator[StoredWeight]:
    """The kernel of `conv_2` in the artifact of a setting: two bits, or float32."""
    setting = artifact.parents[1].name
    kernel = StoredWeight(
        "conv_2/kernel", ("conv_2/kernel",), KERNEL.shape, "float32", KERNEL.nbytes, KERNEL, KERNEL,
        channel_axes=(3,), feeds="conv_2",
    )  # fmt: skip
    if setting == "tfjs-uint8":
        codes = np.rint((KERNEL + 1) / _STEP).astype(np.uint8)
        values = codes.astype(np.float32) * _STEP - 1
        kernel = replace(kernel, dtype="uint8", stored=codes, values=values, scales=(float(_STEP),), minimum=-1.0)
    yield kernel


def _weight_rows() -> tuple[WeightRow, ...]:
    artifacts = {name: Path(name, "key", "artifact") for name in ("tfjs-uint8", "tfjs-float16", "tfjs-float32")}
    stored = {name: tuple(stored_weights(path)) for name, path in artifacts.items()}
    layers = {"conv_2": "conv_2"}
    return tuple(
        row
        for name, weights in stored.items()
        if name != "tfjs-float32"
        for row in compare_weights(name, weights, stored["tfjs-float32"], layers)
    )


def _layers(settings: Mapping[str, float]) -> tuple[LayerRow, ...]:
    return tuple(
        a_layer(setting, layer, place, first - 4 * place)
        for setting, first in settings.items()
        for place, layer in enumerate(LAYERS)
    )


def a_layer(setting: str, layer: str, place: int, sqnr_db: float) -> LayerRow:
    """A compared layer in Python, whose own error is less than that of all before it."""
    return LayerRow(
        setting, "python", layer, layer, "reference", True, None, place, "Conv2D", "float32",
        count=1000, sqnr_db=sqnr_db, isolated_sqnr_db=sqnr_db + 5, worst_channel=3, worst_channel_sqnr_db=sqnr_db - 2,
        relative_rms_growth=0.001 * (place + 1),
    )  # fmt: skip


def with_inputs(folder: Path, inputs: npt.NDArray[np.generic]) -> Path:
    """Write the inputs of the samples, as a study keeps them."""
    store = Store(folder)
    written = store.read_study()
    samples = replace(written.samples, inputs=(TensorSpec("x", (None, *inputs.shape[1:]), str(inputs.dtype)),))
    np.save(samples.input_file("x"), inputs)
    store.write_study(replace(written, samples=samples))
    return folder
