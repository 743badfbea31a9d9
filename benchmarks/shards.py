"""Compares studies in shards with plain inference loops: `python benchmarks/shards.py MODEL DATA SAMPLES…`.

The images of DATA are repeated with seeded noise until there are as many samples as asked for, once for each number.
The artifacts are made first, so that reading the samples, running, scoring and storing is timed: without shards,
in shards by one worker process, and by two. All three must have the same bytes.

The floor is `bare_loops.py`: plain loops over the same artifacts, samples and batches, in sequence, without outputs.
Its half is what two cores could reach. Memory is RssAnon of the largest process, read from /proc while it runs.

`--repeat 3` does everything three times and prints the gain of the second worker of each time. Seconds of the processor
are those of all processes that a command has started: other work on the machine changes them less than the wall time.
`--quick` takes half a minute: 2,000 samples and one setting.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tabulate import tabulate
from watching import Watched, adopt_orphans, watch

from quantlab.processes import python_environment

HERE = Path(__file__).parent
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
NOISE = 12
_LOOPS = "plain loops"
WAYS: Mapping[str, tuple[str, ...]] = {
    "without shards": (),
    "1 worker": ("--shards", "{shards}", "--workers", "1"),
    "2 workers": ("--shards", "{shards}", "--workers", "2"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("samples", type=int, nargs="*", default=[20_000])
    parser.add_argument("--settings", default="tfjs-float32,tfjs-float16,tfjs-uint16,tfjs-uint8")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.samples, arguments.settings = [2_000], "tfjs-float32"
    adopt_orphans()
    with tempfile.TemporaryDirectory() as folder:
        for count in arguments.samples:
            _write_noisy(arguments.data, Path(folder) / f"{count}.npz", count)
            for _ in range(arguments.repeat):
                print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
                _print(count, _measured(Path(folder), count, arguments))


def _print(count: int, ways: Mapping[str, Watched]) -> None:
    floor = ways[_LOOPS].seconds
    rows = [
        (count, name, way.seconds, way.processor, way.seconds / floor, 2 * way.seconds / floor, way.largest / 2**20)
        for name, way in ways.items()
    ]
    headers = ("samples", "study", "seconds", "of processor", "of the loops", "of half of them", "largest, MiB")
    print(tabulate(rows, headers=headers, floatfmt=(".0f", "", ".1f", ".1f", ".2f", ".2f", ".0f")))
    print(f"one worker / two workers: {ways['1 worker'].seconds / ways['2 workers'].seconds:.2f}\n", flush=True)


def _measured(folder: Path, count: int, arguments: argparse.Namespace) -> dict[str, Watched]:
    data = folder / f"{count}.npz"
    command = [sys.executable, "-m", "quantlab", "analyze", str(arguments.model), "--data", str(data)]
    command += ["--settings", arguments.settings, "--runtimes", "python", "--no-layers", "--no-costs"]
    made = folder / f"{count}-made.study"
    if not made.exists():
        watch([*command, "--out", str(made), "--limit", "64"])
    ways: dict[str, Watched] = {}
    sums = set()
    for name, options in WAYS.items():
        study = folder / f"{count}-{name.replace(' ', '-')}.study"
        shutil.copytree(made, study)
        given = [option.format(shards=arguments.shards) for option in options]
        ways[name] = watch([*command, "--out", str(study), *given])
        sums.add(_sum(study))
        if _LOOPS not in ways:
            ways[_LOOPS] = _loops(arguments.model, study)
        shutil.rmtree(study)
    if len(sums) != 1:
        sys.exit(f"the outputs of {count:,} samples differ between the ways to run them")
    return ways


def _write_noisy(source: Path, target: Path, count: int) -> None:
    random = np.random.default_rng(0)
    with np.load(source) as arrays:
        images, labels = arrays["x"], arrays["y"]
    places = np.arange(count) % len(images)
    noisy = images[places].astype(np.int16) + random.integers(-NOISE, NOISE + 1, (count, *images.shape[1:]), np.int16)
    np.savez(target, x=noisy.clip(0, 255).astype(np.uint8), y=labels[places])


def _sum(study: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted((study / "outputs").rglob("*.npy")):
        if np.load(file, mmap_mode="r").shape[0] != 64:  # what the first study has left
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _loops(model: Path, study: Path) -> Watched:
    """Run plain loops over the study's own samples and artifacts."""
    samples = max((study / "samples" / "data").glob("*/input-*.npy"), key=lambda file: file.stat().st_size)
    with tempfile.TemporaryDirectory() as folder:
        for artifact in (study / "variants").glob("*/*/artifact"):
            shutil.copytree(artifact, Path(folder) / artifact.parent.parent.name)
        program = [sys.executable, str(HERE / "bare_loops.py"), str(model), str(samples), folder]
        return watch(program, {**os.environ, **python_environment(onednn=True), **ONE_THREAD})


if __name__ == "__main__":
    main()
