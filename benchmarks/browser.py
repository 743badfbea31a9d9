"""Compares a browser with Node.js, and checks its memory: `python benchmarks/browser.py [MODEL DATA]`.

The same float32 graph-model runs 10,000 samples in `node-wasm` and in `chromium-wasm`, alternately, each time in a new
process and a new browser. Both use the same WebAssembly, so the difference is the browser and the transfer of bytes
through a server on loopback. If there are fewer samples, they are repeated. Without MODEL and DATA, the demo's are
used.

- wall: from the start of the process to its last message, including the start of the browser and loading the model;
- in calls: the time inside the model's calls, as the runtimes report it.

The ratio is that of the medians of the rounds. Memory is that of all processes of the browser (Pss: shared pages count
once), measured after the first batches and at each quarter of the samples. The browser collects garbage rarely, so the
first thousands of samples add some tens of MiB. After that the last ratio, end over quarter, stays near 1 if no batch
is kept. `--samples 80000` shows it better than 10,000.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tabulate import tabulate

from quantlab.demo import LOADER, MODEL
from quantlab.formats import FORMATS
from quantlab.processes import ChildPool, end_lasting_children
from quantlab.runtimes import RUNTIMES, Job, create_output, input_files, protocol, tensor_file
from quantlab.runtimes.browser_tree import browser_processes
from quantlab.store import Store
from quantlab.types.messages import Failed, Progress

PLACES = ("node-wasm", "chromium-wasm")
BATCH = 32
LOOKS = (0.03, 0.25, 0.5, 0.75, 0.97)
"""Shares of the batches at which memory is measured; the last is before the end, when the browser still runs."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One run over all samples."""

    wall: float
    in_calls: float
    memory: Mapping[int, int]
    """Completed samples → bytes of all processes of the browser; empty without a browser."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=str(MODEL))
    parser.add_argument("data", nargs="?", default=LOADER)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="q-") as name:
        folder = Path(name)
        job = prepare(folder, arguments.model, arguments.data, arguments.samples)
        turns: dict[str, list[Turn]] = {place: [] for place in PLACES}
        for _ in range(arguments.rounds):
            for place in PLACES:
                turns[place].append(run(place, job, folder))
    report(turns, arguments.samples)


def prepare(folder: Path, model: str, data: str, n: int) -> Job:
    """Convert a variant with quantlab, and return a job over n samples of it."""
    out = folder / "bench.study"
    command = [sys.executable, "-m", "quantlab", "analyze", model, "--data", data, "--out", str(out)]
    command += ["--settings", "tfjs-float32", "--runtimes", "python", "--no-layers", "--no-costs"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"quantlab exited with {done.returncode}:\n{done.stderr[-2000:]}")
    study = Store(out).read_study()
    (trial,) = study.trials
    variant = trial.variant
    assert variant is not None
    many = replace(study.samples, folder=folder / "many", n=n)
    many.folder.mkdir()
    for spec in many.inputs:
        whole = np.load(study.samples.input_file(spec.name))
        np.save(many.input_file(spec.name), np.resize(whole, (n, *whole.shape[1:])))
    outputs = []
    for position, port in enumerate(variant.outputs):
        (spec,) = (output for output in study.model.outputs if output.name == port.name)
        shape = np.load(trial.outputs[port.name], mmap_mode="r").shape[1:]
        create_output(file := folder / f"output-{position}.npy", n=n, shape=shape, dtype=spec.dtype)
        outputs.append(tensor_file(file, spec, port, position))
    inputs = input_files(many, variant)
    format_ = FORMATS["tfjs"]
    artifact, options = variant.path.resolve(), format_.options(variant.path)
    ports = (inputs, tuple(outputs), options)
    return Job("tfjs", str(artifact), "", BATCH, 0, n, *ports, format_.python, format_.javascript)


def run(place: str, job: Job, folder: Path) -> Turn:
    """Run all samples in a runtime, and measure the memory of its browser regularly."""
    batches = -(-job.stop // job.batch_size)
    looks = {job.batch_size * max(1, int(share * batches)) for share in LOOKS}
    in_calls, memory = 0.0, {}
    with tempfile.TemporaryDirectory(prefix="b-", dir=folder) as own, ChildPool(folder / "shop", 300) as pool:
        tempfile.tempdir = own  # the runtime creates a folder here, by which the browser's processes are identified
        began = time.perf_counter()
        for message in protocol.run(RUNTIMES[place], job, pool):
            if isinstance(message, Failed):
                sys.exit(f"{place}: {message.reason}")
            if isinstance(message, Progress):
                in_calls += message.seconds
                if place.startswith("chromium") and message.done in looks:
                    memory[message.done] = sum(held(Path(own)))
        wall = time.perf_counter() - began
        tempfile.tempdir = None
        end_lasting_children()  # each turn starts its own host, whose folder is this turn's
    return Turn(wall, in_calls, memory)


def held(own: Path) -> Iterator[int]:
    """Sum of the bytes of the browser's processes."""
    (folder,) = own.iterdir()
    for process in browser_processes(folder):
        with suppress(OSError, StopIteration):  # it may end meanwhile
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            yield next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def report(turns: Mapping[str, list[Turn]], n: int) -> None:
    """Print times, ratios and memory."""
    node, chromium = (turns[place] for place in PLACES)
    print(f"{n} samples in batches of {BATCH}, seconds, the median of {len(node)} rounds")
    rows = []
    for name in ("wall", "in_calls"):
        less, more = (statistics.median(getattr(turn, name) for turn in side) for side in (node, chromium))
        rows.append((name.replace("_", " "), less, more, more / less))
    print(tabulate(rows, headers=("", *PLACES, "ratio"), floatfmt=".2f"))
    print()
    at = list(chromium[0].memory)
    medians = [statistics.median(turn.memory[done] for turn in chromium) for done in at]
    print("MiB that the browser's processes hold, after so many samples")
    print(tabulate([[f"{median / 2**20:.0f}" for median in medians]], headers=[str(done) for done in at]))
    print(f"end over the first batches: ratio {medians[-1] / medians[0]:.3f}")
    print(f"end over the first quarter: ratio {medians[-1] / medians[1]:.3f}")


if __name__ == "__main__":
    main()
