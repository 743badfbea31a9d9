"""What a study costs over the work that nobody can avoid: `python benchmarks/study_floor.py MODEL DATA`.

The floor is the same conversions by the official functions and bare inference loops over the same artifacts, samples
and batches, one after another, with one import of TensorFlow for the conversions and one for the loops. It writes no
outputs, compares nothing, and can neither crash nor continue. Both sides run on this machine in this one call; the
floor uses one core at a time, so the ratio to half of it (both cores ideally busy) is printed too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

from quantlab.processes import python_environment
from quantlab.runtimes.node import BUNDLE, find_node
from quantlab.store import Store

HERE = Path(__file__).parent
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data")
    parser.add_argument(
        "--rounds", type=int, default=1, help="how often both sides are run; the fastest of each counts"
    )
    arguments = parser.parse_args()
    measured = [_round(arguments.model, arguments.data) for _ in range(arguments.rounds)]
    study = min((each[0] for each in measured), key=lambda phases: phases["wall"])
    floor = min((each[1] for each in measured), key=lambda steps: sum(steps.values()))
    _report(study, floor)


def _round(model: Path, data: str) -> tuple[dict[str, float], dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        study = _study(model, data, Path(folder) / "bench.study")
        return study, _floor(model, Path(folder), Path(folder) / "bench.study")


def _study(model: Path, data: str, out: Path) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "quantlab",
        "analyze",
        str(model),
        "--data",
        data,
        "--out",
        str(out),
        "--no-layers",
        "--no-costs",
    ]
    wall = _timed(command, {})
    return {"wall": wall, **json.loads((out / "study.json").read_text())["seconds"]}


def _floor(model: Path, folder: Path, study: Path) -> dict[str, float]:
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


def _timed(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    answer = subprocess.run(command, check=False, env={**os.environ, **environment}, capture_output=True, text=True)
    if answer.returncode:
        sys.exit(f"{command[1]} exited with {answer.returncode}:\n{answer.stderr[-2000:]}")
    return time.perf_counter() - began


def _report(study: dict[str, float], floor: dict[str, float]) -> None:
    wall, bare = study.pop("wall"), sum(floor.values())
    study["start the program"] = wall - study.pop("all")
    rows = [("floor", name, seconds) for name, seconds in floor.items()]
    rows += [("study", name, seconds) for name, seconds in study.items()]
    print(tabulate(rows, headers=("side", "phase", "seconds"), floatfmt=".1f"))
    print()
    print(f"study {wall:.1f} s, floor {bare:.1f} s on one core: ratio {wall / bare:.2f}")
    print(f"to half the floor, which is both cores ideally busy: ratio {wall / (bare / 2):.2f}")


if __name__ == "__main__":
    main()
