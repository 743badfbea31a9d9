"""Compares the time of a study with the unavoidable work: `python benchmarks/study_floor.py MODEL DATA`.

The floor consists of the same conversions with the official functions and of plain inference loops over the same
artifacts, samples and batches, in sequence, with one import of TensorFlow for the conversions and one for the loops. It
writes no outputs, compares nothing, and cannot survive crashes or interruptions. Both run on this machine in the same
call. The floor uses one core at a time, so the ratio to half of it (both cores ideally busy) is printed, too.

With `--before PYTHON`, the Python of an environment with another quantlab, both run the default study (including layers
and costs) and `quantlab demo`, alternately. Every study starts its own processes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from quantlab.processes import python_environment
from quantlab.runtimes.node import BUNDLE, find_node
from quantlab.store import Store

HERE = Path(__file__).parent
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Took:
    """Times of a command."""

    wall: float
    """Seconds."""
    processor: float
    """Seconds of all its processes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data")
    parser.add_argument(
        "--rounds", type=int, default=1, help="how often both sides are run; the fastest of each counts"
    )
    parser.add_argument("--before", type=Path, help="the Python of an environment with another quantlab")
    arguments = parser.parse_args()
    measured = [_round(arguments.model, arguments.data) for _ in range(arguments.rounds)]
    study = min((phases for phases, _ in measured), key=lambda phases: phases["wall"])
    floor = min((steps for _, steps in measured), key=lambda steps: sum(step.wall for step in steps.values()))
    _report(study, floor)
    if arguments.before:
        _compare(arguments.before, arguments.model, arguments.data, arguments.rounds)


def _round(model: Path, data: str) -> tuple[dict[str, float], dict[str, Took]]:
    with tempfile.TemporaryDirectory() as folder:
        study = _study(model, data, Path(folder) / "bench.study")
        return study, _floor(model, Path(folder), Path(folder) / "bench.study")


def _study(model: Path, data: str, out: Path) -> dict[str, float]:
    words = ["analyze", str(model), "--data", data, "--out", str(out), "--no-layers", "--no-costs"]
    took = _timed([sys.executable, "-m", "quantlab", *words], {})
    phases = json.loads((out / "study.json").read_text())["seconds"]
    return {"wall": took.wall, "processor": took.processor, **phases}


def _compare(before: Path, model: Path, data: str, rounds: int) -> None:
    """Run the whole study, with layers and costs, and the demo, with both installations alternately."""
    commands = {"default study": ["analyze", str(model), "--data", data, "--out", "whole.study"], "demo": ["demo"]}
    rows = []
    for name, words in commands.items():
        sides: dict[str, list[Took]] = {"before": [], "now": []}
        for _ in range(rounds):
            for side, python in (("before", before.absolute()), ("now", Path(sys.executable))):
                with tempfile.TemporaryDirectory() as folder:
                    sides[side].append(_timed([str(python), "-m", "quantlab", *words], {}, folder))
        old, new = (min(sides[side], key=lambda took: took.wall) for side in ("before", "now"))
        rows.append((name, old.wall, new.wall, new.wall / old.wall, old.processor, new.processor))
    print()
    print(tabulate(rows, headers=("", "before s", "now s", "ratio", "before CPU s", "now CPU s"), floatfmt=".2f"))


def _floor(model: Path, folder: Path, study: Path) -> dict[str, Took]:
    samples = Store(study).read_study().samples
    (image,) = (samples.input_file(spec.name) for spec in samples.inputs)
    calibration = Store(study).read_study().calibration
    assert calibration is not None
    artifacts = folder / "artifacts"
    convert = [str(model), str(calibration.input_file(samples.inputs[0].name)), str(artifacts)]
    loops = [str(model), str(image), str(artifacts)]
    node, _ = find_node()
    script = [node, str(HERE / "bare_node.cjs"), str(BUNDLE.parents[1]), str(image), str(artifacts)]
    return {
        "conversions": _timed(
            [sys.executable, str(HERE / "bare_convert.py"), *convert], python_environment(onednn=False) | ONE_THREAD
        ),
        "loops in Python": _timed(
            [sys.executable, str(HERE / "bare_loops.py"), *loops], python_environment(onednn=True) | ONE_THREAD
        ),
        "loops in Node": _timed(script, {}),
    }


def _timed(command: list[str], environment: dict[str, str], folder: str | None = None) -> Took:
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = subprocess.run(
        command, check=False, env={**os.environ, **environment}, capture_output=True, text=True, cwd=folder
    )
    if answer.returncode:
        sys.exit(f"{command[1]} exited with {answer.returncode}:\n{answer.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(time.perf_counter() - began, processor)


def _report(study: dict[str, float], floor: dict[str, Took]) -> None:
    wall, processor = study.pop("wall"), study.pop("processor")
    bare, bare_processor = (sum(getattr(step, part) for step in floor.values()) for part in ("wall", "processor"))
    study["start the program"] = wall - study.pop("all")
    rows = [("floor", name, step.wall) for name, step in floor.items()]
    rows += [("study", name, seconds) for name, seconds in study.items()]
    print(tabulate(rows, headers=("side", "phase", "seconds"), floatfmt=".1f"))
    print()
    print(f"study {wall:.1f} s, floor {bare:.1f} s on one core: ratio {wall / bare:.2f}")
    print(f"to half the floor, which is both cores ideally busy: ratio {wall / (bare / 2):.2f}")
    print(f"processor time: study {processor:.1f} s, floor {bare_processor:.1f} s")


if __name__ == "__main__":
    main()
