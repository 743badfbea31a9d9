"""Cost of comparing layers per sample: `python benchmarks/layer_cost.py MODEL DATA`.

`analyze` with layers is compared with plain inference with taps: the reference's graph and the variant run, every
tensor that quantlab compares is fetched as an array, and nothing is computed from it (`bare_tapped.py`,
`bare_tapped_node.cjs`). For the case `ai-edge-dynamic`, it is also compared with the validator of ai_edge_quantizer,
which must be installed, on the same pair of files, of which ai_edge_quantizer made one (`bare_quantize.py`,
`bare_validator.py`). All get the same samples in one call, alternately, and the fastest of each counts. The cost per
sample is that of the median batch. Work done once per study, such as opening graphs and aligning their tensors, is
listed separately.

Plain inference uses the faster of LiteRT's two ways to read tensors, in sequential processes with one thread, like
quantlab's children. So the sum of both sides is time on one core, and half of it is the best that two cores could do.
With `mobilenet` as MODEL and no DATA, the benchmark uses MobileNetV2 at 224 with random weights.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from layer_spans import REFERENCE, Case, Inside, look_inside
from tabulate import tabulate

import quantlab
from quantlab.processes import python_environment
from quantlab.runtimes.node import BUNDLE, find_node

HERE = Path(__file__).parent
THREADS = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
GIVEN = "ai-edge-dynamic"
CASES = f"tfjs-uint8/python,tflite-dynamic/python,{GIVEN}/python,tfjs-uint8/node-wasm"


@dataclass(slots=True)
class Measured:
    """One case: the measurements of each round."""

    case: Case
    inside: list[Inside] = field(default_factory=list)
    bare: dict[str, list[float]] = field(default_factory=dict)
    """Side → milliseconds per sample."""

    @property
    def best(self) -> Inside:
        """The fastest round."""
        return min(self.inside, key=lambda inside: inside.milliseconds)

    @property
    def sides(self) -> tuple[float, float]:
        """Milliseconds per sample of plain inference with taps: of the reference, and of the variant's faster way."""
        ways = [min(taken) for side, taken in self.bare.items() if side.startswith("variant")]
        return min(self.bare["reference"]), min(ways)


@dataclass(frozen=True, slots=True)
class Bench:
    """Data that all cases share."""

    model: Path
    data: str
    folder: Path
    samples: int
    validated: int
    """Number of samples for the validator, which takes seconds per sample."""

    @property
    def study(self) -> Path:
        """The study's folder."""
        return self.folder / "bench.study"

    def convert(self, texts: list[str]) -> list[Measured]:
        """Make the variants, and return the cases `<setting>/<runtime>` to measure."""
        cases = [Case(setting, runtime) for setting, runtime in (text.split("/") for text in texts)]
        settings = {"tflite-float32" if case.setting == GIVEN else case.setting for case in cases}
        runtimes = {case.runtime for case in cases}
        chosen = quantlab.AnalyzeOptions(
            settings=tuple(settings), runtimes=tuple(runtimes), layers=False, costs=False, out=self.study
        )
        quantlab.analyze(self.model, data=self.data, options=chosen)
        return [Measured(self._given(case) if case.setting == GIVEN else case) for case in cases]

    def _given(self, case: Case) -> Case:
        file = self.folder / f"{GIVEN}.tflite"
        _call([sys.executable, str(HERE / "bare_quantize.py"), self._artifact("tflite-float32"), str(file)])
        return replace(case, given=file)

    def measure(self, measured: Measured) -> None:
        """One round of a case: quantlab, then plain inference of each side."""
        case = measured.case
        shutil.rmtree(self.study / "inside" / case.setting, ignore_errors=True)
        inside = look_inside(self.model, self.data, self.study, case, self.samples)
        measured.inside.append(inside)
        for side, job in self._bare_jobs(case, inside).items():
            measured.bare.setdefault(side, []).append(self._run(side, job))

    def _bare_jobs(self, case: Case, inside: Inside) -> dict[str, dict[str, Any]]:
        first = inside.jobs[REFERENCE]
        shared = {
            "samples": first["inputs"][0]["file"],
            "count": self.samples,
            "batch": inside.batches[0].count,
            "rounds": 2,
        }
        artifact = str(case.given or self._artifact(case.setting))
        variant = shared | {"artifact": artifact, "taps": inside.taps[case.session]}
        jobs = {"reference": shared | first["options"] | {"kind": "reference", "taps": inside.taps[REFERENCE]}}
        if case.runtime != "python":
            return jobs | {"variant in Node": variant}
        if case.format != "tflite":
            return jobs | {"variant": variant | {"kind": "tfjs"}}
        jobs["variant, all tensors preserved"] = variant | {"kind": "tflite"}
        tapped = inside.jobs[case.session]["artifact"]
        jobs["variant, more outputs"] = variant | {"kind": "tflite-outputs", "tapped": tapped}
        if case.given:
            pair = variant | {"float32": self._artifact(case.float32), "count": self.validated}
            jobs |= {f"validator, {measures}": pair | {"measures": measures} for measures in ("default", "all")}
        return jobs

    def _artifact(self, setting: str) -> str:
        trials = quantlab.load_study(self.study).trials
        return next(
            str(trial.variant.path.absolute()) for trial in trials if trial.setting == setting and trial.variant
        )

    def _run(self, side: str, job: Mapping[str, Any]) -> float:
        file = self.folder / "job.json"
        file.write_text(json.dumps(job))
        if side == "variant in Node":
            command = [find_node()[0], str(HERE / "bare_tapped_node.cjs"), str(BUNDLE.parents[1]), str(file)]
        else:
            script = "bare_validator.py" if "measures" in job else "bare_tapped.py"
            command = [sys.executable, str(HERE / script), str(file)]
        return float(_call(command).split()[-1])


def _call(command: list[str]) -> str:
    environment = {**os.environ, **python_environment(onednn=True), **THREADS}
    answer = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    if answer.returncode:
        sys.exit(f"{command[1]} exited with {answer.returncode}:\n{answer.stderr[-2000:]}")
    return answer.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a model's file, or 'mobilenet'")
    parser.add_argument("data", nargs="?")
    parser.add_argument("--cases", default=CASES, help="<setting>/<runtime>, comma-separated")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--validated", type=int, default=4, help="samples for the validator")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, data = Path(arguments.model), arguments.data
        if arguments.model == "mobilenet":
            model, data = make_mobilenet(folder, 2 * arguments.samples)
        bench = Bench(model, data, folder, arguments.samples, arguments.validated)
        cases = bench.convert(arguments.cases.split(","))
        for _ in range(arguments.rounds):
            for measured in cases:
                bench.measure(measured)
    for measured in cases:
        report(measured)


def make_mobilenet(folder: Path, samples: int) -> tuple[Path, str]:
    """Make MobileNetV2 with random weights and matching batch norms, and images without detail."""
    script = """
import sys, keras, numpy as np
keras.utils.set_random_seed(0)
model = keras.applications.MobileNetV2(weights=None)
coarse = np.random.default_rng(0).uniform(-1, 1, (int(sys.argv[2]), 28, 28, 3)).astype(np.float32)
images = coarse.repeat(8, axis=1).repeat(8, axis=2)
for layer in model.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = 0.0  # so that one call in training leaves the moments of what passes through
model(images[:16], training=True)
model.save(sys.argv[1] + "/mobilenet.keras")
np.savez(sys.argv[1] + "/images.npz", x=images)
"""
    _call([sys.executable, "-c", script, str(folder), str(samples)])
    return folder / "mobilenet.keras", str(folder / "images.npz")


def report(measured: Measured) -> None:
    case, inside, (reference, variant) = measured.case, measured.best, measured.sides
    bare = reference + variant
    print(f"\n## {case.setting} in {case.runtime}, batches of {inside.batches[0].count}\n")
    rows: list[tuple[str, str, float, float | None]]
    rows = [("bare tapped inference", side, min(taken), None) for side, taken in measured.bare.items()]
    parts = inside.parts()
    rows += [("quantlab", part, taken, inside.elements(part)) for part, taken in parts.items()]
    rows.append(("quantlab", "all, median batch", inside.milliseconds, None))
    shown = [("another program" if row[1].startswith("validator") else row[0], *row[1:], row[2] / bare) for row in rows]
    headers = ("side", "part", "ms/sample", "M elements", "of bare")
    print(tabulate(shown, headers=headers, floatfmt=("", "", ".2f", ".2f", ".2f")))
    print(f"\nquantlab / bare tapped inference of both sides ({bare:.2f} ms): {inside.milliseconds / bare:.2f}")
    needed = sum(
        parts.get(part, 0.0) for part in (f"read {REFERENCE}", f"read {case.session}", "sum against the reference")
    )
    print(
        f"of that both sides and their sums alone, without the second baseline and isolated nodes: {needed / bare:.2f}"
    )
    for side, taken in measured.bare.items():
        if side.startswith("validator"):
            print(f"{side} measures / quantlab: {min(taken) / inside.milliseconds:.1f}")
    print("once: " + ", ".join(f"{part} {seconds:.1f} s" for part, seconds in inside.once().items()))


if __name__ == "__main__":
    main()
