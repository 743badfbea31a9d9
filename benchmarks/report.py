"""Time, size and first paint of the report of large studies that are written by hand.

Each study has outputs of random logits, layers, and artifacts of TensorFlow.js with one kernel for each layer. The
report is made by `quantlab report` with a budget in a process of its own, whose whole time counts: by the clock, and on
all cores. It is then opened in Chromium three times; the first contentful paint is the median. Aims: 5 s for 10,000
samples and 16 trials; 2 s to the first paint and 2 MB for 1,000 classes and 300 layers.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from playwright.sync_api import sync_playwright
from tabulate import tabulate

from quantlab.formats import FORMATS
from quantlab.models import files_sha256
from quantlab.runtimes.browser import find_browser
from quantlab.samples import labels_sha256
from quantlab.statistics import compare_weights
from quantlab.store import Store
from quantlab.types import (
    Inside,
    Interval,
    KeptOutputs,
    LayerRow,
    ModelDescription,
    Port,
    SampleSet,
    Scores,
    Study,
    TensorSpec,
    Timing,
    Trial,
    Variant,
    WeightRow,
)

KERNEL = (3, 3, 8, 64)
IMAGE = TensorSpec("image", (None, 32, 32, 3), "uint8")
RUNTIMES = ("python", "node-wasm")


@dataclass(frozen=True)
class Shape:
    """How large a study is."""

    name: str
    samples: int
    classes: int
    layers: int
    settings: int


SHAPES = (
    Shape("10,000 samples × 16 trials", 10_000, 10, 60, 8),
    Shape("1,000 classes, 300 layers", 10_000, 1_000, 300, 6),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="for the studies, about 600 MB; the system's by default")
    parser.add_argument("--keep", type=Path, help="a folder for the reports; they are deleted by default")
    arguments = parser.parse_args()
    rows = []
    for place, shape in enumerate(SHAPES):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            study = Path(folder) / f"large-{place}.study"
            write(study, shape)
            page = (arguments.keep or Path(folder)).absolute() / f"large-{place}.html"
            rows.append((shape.name, *made(study, page), page.stat().st_size / 1e6, first_paint(page)))
    print(tabulate(rows, ("study", "report s", "CPU s", "MB", "first paint ms"), floatfmt=".2f"))


def made(study: Path, page: Path) -> tuple[float, float]:
    """Seconds that the command takes, by the clock and on all cores."""
    options = ("--max-accuracy-loss", "3pt", "--target", "web", "--out", str(page))
    before, begun = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "quantlab", "report", str(study), *options], check=True)
    seconds, after = time.perf_counter() - begun, os.times()
    return seconds, sum(after[2:4]) - sum(before[2:4])


def first_paint(page: Path) -> float:
    """Milliseconds from the navigation to the first contentful paint; the median of three."""
    paints = []
    with sync_playwright() as playwright:
        program, sandboxed = find_browser().program, os.geteuid() != 0
        with playwright.chromium.launch(executable_path=program, chromium_sandbox=sandboxed) as browser:
            for _ in range(3):
                with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
                    opened = context.new_page()
                    opened.goto(page.as_uri())
                    opened.wait_for_function(f"() => {PAINT}")
                    paints.append(opened.evaluate(f"{PAINT}.startTime"))
    return statistics.median(paints)


PAINT = "performance.getEntriesByName('first-contentful-paint')[0]"


# Studies


def write(folder: Path, shape: Shape) -> None:
    """Write a study whose settings answer more and more samples otherwise."""
    random = np.random.default_rng(0)
    settings = ["tfjs-float32", *(f"tfjs-bits{8 - place}" for place in range(shape.settings - 1))]
    labels = random.integers(0, shape.classes, shape.samples)
    reference = random.standard_normal((shape.samples, shape.classes), np.float32)
    reference[np.arange(shape.samples), labels] += 6
    store = Store(folder)
    samples = write_samples(folder, labels, shape)
    kernels = random.standard_normal((shape.layers, *KERNEL), np.float32)
    variants = {name: write_variant(folder, name, place, kernels) for place, name in enumerate(settings)}
    noise = random.standard_normal(reference.shape, np.float32)
    trials = []
    for place, (name, variant) in enumerate(variants.items()):
        outputs = reference + np.float32(0.05 * place) * noise
        trials += [
            replace(trial(folder, name, runtime, outputs), variant=variant, scores=scores(outputs, reference, labels))
            for runtime in RUNTIMES
        ]
    spec = TensorSpec("logits", (None, shape.classes), "float32")
    study = Study(
        ModelDescription("model.keras", "Keras 3", "0" * 64, (IMAGE,), (spec,), None),
        samples,
        None,
        task="classification",
        scored_output="logits",
        classes=True,
        probabilities=False,
        batch_size=32,
        seed=0,
        reference=trial(folder, "reference", "python", reference),
        trials=tuple(trials),
        versions={"quantlab": "0.1.0"},
        created="2026-01-02T03:04:05+00:00",
    )
    store.write_study(study)
    weights = tuple(weight_rows(variants))
    store.write_inside(Inside(tuple(layer_rows(settings, shape.layers)), weights, (), (), samples=256, drawn="all"))


def write_samples(folder: Path, labels: npt.NDArray[np.int64], shape: Shape) -> SampleSet:
    classes = tuple(f"a class with a name {place}" for place in range(shape.classes))
    place = folder / "samples" / "data" / "key"
    place.mkdir(parents=True)
    samples = SampleSet(
        place, (IMAGE,), shape.samples, True, "0" * 64, "x.npz", shape.samples, "all",
        labels_sha256=labels_sha256(labels), classes=classes,
    )  # fmt: skip
    np.save(samples.labels_file, labels)
    images = np.random.default_rng(1).integers(0, 255, (shape.samples, 32, 32, 3), np.uint8)
    np.save(samples.input_file("image"), images)
    np.save(place / "indices.npy", np.arange(shape.samples))
    return samples


def trial(folder: Path, setting: str, runtime: str, outputs: npt.NDArray[np.float32]) -> Trial:
    file = folder / "outputs" / setting / runtime / "key" / "logits.npy"
    file.parent.mkdir(parents=True)
    np.save(file, outputs)
    kept = KeptOutputs({"logits": file}, runtime, {}, Timing(1, 0.1), {"logits": files_sha256(file)})
    Store(folder).write(file.parent / "outputs.json", kept)
    return Trial(setting, runtime, ran_on=runtime, outputs={"logits": file})


def scores(
    outputs: npt.NDArray[np.float32], reference: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> Scores:
    before, after = reference.argmax(axis=1), outputs.argmax(axis=1)
    loss = 100 * float(((before == labels) * 1.0 - (after == labels)).mean())
    return Scores(
        n=len(labels),
        top1=100 * float((after == labels).mean()),
        top1_loss_points=loss,
        top1_loss_interval=Interval(loss - 0.3, loss + 0.3),
        agreement=100 * float((before == after).mean()),
        non_finite=0,
    )


def write_variant(folder: Path, name: str, place: int, kernels: npt.NDArray[np.float32]) -> Variant:
    """A graph-model with a convolution for each kernel, stored in fewer bits for each place but the first."""
    artifact = folder / "variants" / name / "key" / "artifact"
    artifact.mkdir(parents=True)
    entries, nodes, data = [], [], bytearray()
    low, high = float(kernels.min()), float(kernels.max())
    scale = (high - low) / (2 ** (9 - place) - 1) if place else 0.0
    for number, kernel in enumerate(kernels):
        entry = {"name": f"block_{number}/conv/kernel", "shape": list(KERNEL), "dtype": "float32"}
        if place:
            entry["quantization"] = {"dtype": "uint8", "min": low, "scale": scale, "original_dtype": "float32"}
            kernel = np.rint((kernel - low) / scale).astype(np.uint8)  # noqa: PLW2901 (it is what is stored)
        entries.append(entry)
        data += kernel.tobytes()
        nodes.append({"name": f"block_{number}/conv/kernel", "op": "Const", "attr": {}})
        before = f"block_{number - 1}/conv" if number else "image"
        conv = {"name": f"block_{number}/conv", "op": "Conv2D", "input": [before, f"block_{number}/conv/kernel"]}
        nodes.append({**conv, "attr": {"data_format": {"s": "TkhXQw=="}}})
    document = {
        "format": "graph-model",
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": entries}],
    }
    (artifact / "model.json").write_text(json.dumps(document), encoding="utf-8")
    (artifact / "group1-shard1of1.bin").write_bytes(data)
    port = Port("logits", "logits:0", 0, (None, 10), "float32")
    sizes = (len(data), len(data) - 1000 * place)
    return Variant(name, "tfjs", artifact, f"{place:064x}", *sizes, (port,), (port,), {"uint8": len(data)})


def layer_rows(settings: list[str], layers: int) -> Iterator[LayerRow]:
    random = np.random.default_rng(2)
    for place, setting in enumerate(settings):
        for runtime in RUNTIMES:
            noise = np.sort(random.uniform(0, 60, layers))
            for number in range(layers):
                sqnr = 150.0 if not place else 95 - 4 * place - float(noise[number])
                name = f"block_{number}/conv"
                yield LayerRow(
                    setting, runtime, name, name, "reference", True, None, number, "Conv2D", "float32",
                    count=100_000, different=99_000, mean_abs=0.01, max_abs=0.1, sqnr_db=sqnr,
                    isolated_sqnr_db=sqnr + 9, worst_channel=number % 64, worst_channel_sqnr_db=sqnr - 3,
                    relative_rms_growth=0.001,
                    error_quantiles={"50": 0.1, "90": 0.2, "95": 0.3, "99": 0.4, "99.9": 0.5},
                )  # fmt: skip


def weight_rows(variants: dict[str, Variant]) -> Iterator[WeightRow]:
    read = FORMATS["tfjs"].weights
    baseline = variants["tfjs-float32"].path
    layers = {weight.feeds: weight.feeds for weight in read(baseline)}
    for name, variant in variants.items():
        if not variant.is_float32:
            yield from compare_weights(name, read(variant.path), read(baseline), layers)


if __name__ == "__main__":
    main()
