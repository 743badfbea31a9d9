"""A small study of every kind of thing that the report shows, written by hand."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from verdict_fixtures import answers, flipped, write_study

from quantlab.store import Store
from quantlab.types import Inside, LayerRow, Study, TensorSpec

__all__ = ["CLASSES", "LAYERS", "a_layer", "report_study", "with_inputs"]

CLASSES = ("bag", "boot", "coat", "dress", "pullover", "sandal", "shirt", "sneaker", "top", "trousers")
LAYERS = ("stem", "conv_1", "conv_2", "conv_3", "pool", "dense")
_N = 400
_LOST = {"tfjs-uint8": 40, "tfjs-float16": 4, "tflite-int8": 6}
"""Setting → samples that it answers wrong."""
_SQNR = {"tfjs-uint8": 30.0, "tfjs-float16": 70.0, "tflite-int8": 45.0}


def report_study(folder: Path) -> Study:
    """Three settings of two formats in two runtimes, with layers, pictures, and names of files and classes."""
    labels = np.arange(_N) % len(CLASSES)
    candidates = {
        (setting, runtime): answers(labels, flipped(_N, range(count)))
        for setting, count in _LOST.items()
        for runtime in ("python", "node-wasm")
    }
    write_study(folder, labels, answers(labels), candidates)
    store = Store(folder)
    written = store.read_study()
    store.write_study(replace(written, samples=replace(written.samples, classes=CLASSES)))
    np.save(written.samples.folder / "indices.npy", np.arange(_N))
    names = [f"{CLASSES[label]}/{place}.png" for place, label in enumerate(labels)]
    (written.samples.folder / "files.json").write_text(json.dumps(names), encoding="utf-8")
    with_inputs(folder, np.random.default_rng(0).integers(0, 255, (_N, 8, 8, 3), np.uint8))
    store.write_inside(Inside(_layers(_SQNR), (), (), (), samples=100, drawn="all"))
    return store.read_study()


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
