"""Measures how the cost of a study grows: `python benchmarks/scale.py MODEL DATA OUT.json` and `--figure OUT.svg`.

Samples are the images of DATA with seeded noise, made by a generator as often as asked for. Four sweeps change one
thing each: samples, settings, workers, and values of an output (the model with a wider last layer). Artifacts are made
first, so that reading, running, scoring and storing is timed. Each point has the wall time, the memory of the largest
process (RssAnon), the bytes of the study at most and at the end, and the time of plain loops over the same artifacts
(`bare_loops.py`), which is measured on at most 20,000 samples.

Every point is fitted by

    seconds = a + samples × (r + (1 + settings) × (b / workers + c × outputs))

with a, r, b, c ≥ 0, in which relative errors count: a to start, r to read a sample, b to run it, and c for each value
that the command scores; the figure shows the points, and the formula up to 10⁹ samples.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from scale_figure import drawn
from scale_points import Point, fitted, points, predicted
from shards import HERE, ONE_THREAD
from tabulate import tabulate
from watching import watch

from quantlab.processes import python_environment

SETTINGS = ("tfjs-float32", "tfjs-float16", "tfjs-uint16", "tfjs-uint8", "tfjs-uint8-per-channel", "tflite-dynamic")
FLOOR_SAMPLES = 20_000
NOISE = 12
READ = 256
LOADER = "noisy_samples"
"""Module of the generator, which is written beside the model."""


def measured(point: Point, model: Path, data: Path, store: str) -> Point:
    """Run a study of a point, and plain loops over its artifacts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        opened = _widened(model, folder, point.outputs)
        _write_loader(folder, data, point.samples)
        command = [sys.executable, "-m", "quantlab", "analyze", str(opened), "--data", f"{LOADER}:noisy"]
        command += ["--settings", ",".join(SETTINGS[: point.settings]), "--runtimes", "python"]
        command += ["--no-layers", "--no-costs", "--store", store, "--out", str(folder / "made.study")]
        watch([*command, "--limit", "64"], folder=folder)
        watched = watch([*command, "--shard-size", "4096", "--workers", str(point.workers)], folder=folder)
        return replace(
            point,
            seconds=watched.seconds,
            loops_seconds=_loops(opened, folder / "made.study", point.samples),
            largest_bytes=watched.largest,
            disk_bytes=watched.disk,
            study_bytes=sum(file.stat().st_size for file in (folder / "made.study").rglob("*") if file.is_file()),
        )


def _widened(model: Path, folder: Path, outputs: int) -> Path:
    """The model with as many classes: a dense layer with seeded weights on top of all but its last layer."""
    import keras

    opened = keras.saving.load_model(model, compile=False)
    if opened.output_shape[-1] == outputs:
        return Path(shutil.copy(model, folder))
    keras.utils.set_random_seed(0)
    logits = keras.layers.Dense(outputs, activation="softmax")(opened.layers[-1].input)
    keras.Model(opened.inputs, logits).save(folder / model.name)
    return folder / model.name


def _write_loader(folder: Path, data: Path, count: int) -> None:
    """Write the module whose generator makes the samples."""
    (folder / f"{LOADER}.py").write_text(
        "import numpy as np\n"
        "def noisy():\n"
        f"    with np.load({str(data.absolute())!r}) as arrays:\n"
        "        images, labels = arrays['x'], arrays['y']\n"
        f"    for start in range(0, {count}, {READ}):\n"
        f"        places = np.arange(start, min(start + {READ}, {count})) % len(images)\n"
        "        random = np.random.default_rng(start)\n"
        "        shape = (len(places), *images.shape[1:])\n"
        f"        noise = random.integers(-{NOISE}, {NOISE + 1}, shape, np.int16)\n"
        "        yield (images[places] + noise).clip(0, 255).astype(np.uint8), labels[places]\n",
        encoding="utf-8",
    )


def _loops(model: Path, study: Path, count: int) -> float:
    """Seconds of plain loops on one core, over as many samples."""
    inputs = max((study / "samples" / "data").glob("*/input-*.npy"), key=lambda file: file.stat().st_size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        some = np.load(inputs, mmap_mode="r")[:FLOOR_SAMPLES]
        np.save(folder / "samples.npy", some)
        for artifact in (study / "variants").glob("*/*/artifact*"):
            target = folder / "artifacts" / artifact.parent.parent.name
            target.parent.mkdir(exist_ok=True)
            shutil.copytree(artifact, target) if artifact.is_dir() else shutil.copy(artifact, f"{target}.tflite")
        program = [sys.executable, str(HERE / "bare_loops.py"), str(model), str(folder / "samples.npy")]
        environment = {**os.environ, **python_environment(onednn=True), **ONE_THREAD}
        done = subprocess.run(
            [*program, str(folder / "artifacts")], check=True, env=environment, stdout=subprocess.PIPE, text=True
        )
        return float(done.stdout.split()[-1]) * count / len(some)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("measures", type=Path, help="JSON file of the points; those that it has are not measured again")
    parser.add_argument("--most", type=int, default=1_000_000, help="most samples")
    parser.add_argument("--store", default="scores", help="what studies keep: outputs or scores")
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    known = [Point(**one) for one in json.loads(arguments.measures.read_text())] if arguments.measures.exists() else []
    for point in points(arguments.most) if arguments.data else []:
        asked = (point.samples, point.settings, point.workers, point.outputs)
        if asked in {(one.samples, one.settings, one.workers, one.outputs) for one in known}:
            continue
        known.append(measured(point, arguments.model, arguments.data, arguments.store))
        arguments.measures.write_text(json.dumps([asdict(one) for one in known], indent=1) + "\n")
    coefficients = fitted(known)
    _print(known, coefficients)
    if arguments.figure:
        arguments.figure.write_text(drawn(known, coefficients), encoding="utf-8")


def _print(known: Sequence[Point], coefficients: Sequence[float]) -> None:
    rows = [
        (
            *(one.samples, one.settings, one.workers, one.outputs, one.seconds, predicted(one, coefficients)),
            one.seconds * one.workers / one.loops_seconds,
            one.largest_bytes / 2**20,
            one.disk_bytes / 1e6,
            one.study_bytes / 1e6,
        )
        for one in known
    ]
    headers = (
        "samples",
        "settings",
        "workers",
        "outputs",
        "seconds",
        "formula",
        "× loops / workers",
        "MiB",
        "MB at most",
        "MB on disk",
    )
    print(tabulate(rows, headers=headers, floatfmt=(*("",) * 4, ".1f", ".1f", ".2f", ".0f", ".1f", ".1f"), intfmt=","))
    a, r, b, c = coefficients
    print(f"a = {a:.3g} s, r = {1e6 * r:.3g} µs, b = {1e6 * b:.3g} µs, c = {1e6 * c:.3g} µs")


if __name__ == "__main__":
    main()
