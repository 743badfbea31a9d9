"""Checks the memory of the layer comparison: `python benchmarks/layer_memory.py MODEL DATA`.

A study is made without layers. Then `quantlab analyze` compares layers on few and on many samples, each time from the
start. Conversions and outputs are reused, so that the peak of a converter does not hide that of the layers. Memory is
that of quantlab and all its children together, read from /proc while they run:

- anonymous: allocated memory (RssAnon), the largest sum at one moment;
- with files: the same with mapped files, including the files of tensors, whose pages the system may drop at any time;
shared pages count once (Pss), the largest sum at one moment;
- high-water marks: the sum of the kernel's VmHWM of all processes, even if they were at different times. It misses no
peak between two measurements, but shared libraries count once per process.

The median of several rounds counts, because allocators and the order of threads change a peak by a few per cent.
"""

import argparse
import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tabulate import tabulate
from watching import family

EVERY_SECONDS = 0.02
MEASURES = ("anonymous", "with files", "high-water marks")


@dataclass(slots=True)
class Peaks:
    """The peak memory of a process and its descendants, in bytes."""

    anonymous: int = 0
    with_files: int = 0
    marks: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Process id → role, and VmHWM."""

    def look(self, process: int) -> None:
        """Measure the current memory."""
        anonymous = with_files = 0
        for member in family(process):
            with contextlib.suppress(OSError, KeyError):  # it may end meanwhile
                status, mapped = _fields(member, "status"), _fields(member, "smaps_rollup")
                anonymous += status["RssAnon"]
                with_files += mapped["Pss"]
                self.marks[member] = (_role(member), status["VmHWM"])
        self.anonymous, self.with_files = max(self.anonymous, anonymous), max(self.with_files, with_files)

    @property
    def measures(self) -> tuple[int, int, int]:
        """In the order of `MEASURES`."""
        return self.anonymous, self.with_files, sum(mark for _, mark in self.marks.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--settings", default="tfjs-float32,tfjs-uint8,tflite-dynamic")
    parser.add_argument("--runtimes", default="python,node-wasm")
    parser.add_argument("--samples", type=int, nargs=2, default=(256, 4096), metavar=("FEW", "MANY"))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "bench.study"
        command = [sys.executable, "-m", "quantlab", "analyze", arguments.model, "--data", arguments.data]
        command += [
            "--settings",
            arguments.settings,
            "--runtimes",
            arguments.runtimes,
            "--out",
            str(study),
            "--no-costs",
        ]
        _watch([*command, "--no-layers"])
        rounds = [{n: _look_inside(command, study, n) for n in arguments.samples} for _ in range(arguments.rounds)]
    _report(rounds, *arguments.samples)


def _look_inside(command: list[str], study: Path, samples: int) -> Peaks:
    for kept in (study / "inside", study / "samples" / "layers"):
        shutil.rmtree(kept, ignore_errors=True)
    return _watch([*command, "--layer-samples", str(samples)])


def _watch(command: list[str]) -> Peaks:
    peaks = Peaks()
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as process:
            while process.poll() is None:
                peaks.look(process.pid)
                time.sleep(EVERY_SECONDS)
        said.seek(0)
        if process.returncode:
            sys.exit(f"quantlab exited with {process.returncode}:\n{said.read()[-2000:]}")
    return peaks


def _fields(process: int, name: str) -> dict[str, int]:
    """The lines of a file in /proc that have kibibytes, converted to bytes."""
    lines = (line.split() for line in Path(f"/proc/{process}/{name}").read_text().splitlines())
    return {words[0].rstrip(":"): 1024 * int(words[1]) for words in lines if words[-1] == "kB"}


def _role(process: int) -> str:
    command = Path(f"/proc/{process}/cmdline").read_text()
    known = {"quantlab.worker.main": "child in Python", "node.cjs": "child in Node", "quantlab": "quantlab itself"}
    return next((role for part, role in known.items() if part in command), "another child")


def _by_role(peaks: Peaks) -> dict[str, int]:
    roles: dict[str, int] = {}
    for role, mark in peaks.marks.values():
        if role == "another child":  # a fork of quantlab that will soon have one of the other roles
            continue
        roles[role] = max(roles.get(role, 0), mark)
    return roles


def _report(rounds: list[dict[int, Peaks]], few: int, many: int) -> None:
    columns = {n: _medians([by_samples[n] for by_samples in rounds]) for n in (few, many)}
    rows = [(name, columns[few][name], columns[many][name]) for name in columns[few]]
    print(f"peaks in MiB, the median of {len(rounds)} rounds")
    print(
        tabulate(
            [(name, less / 2**20, more / 2**20, more / less) for name, less, more in rows],
            headers=("memory", f"{few} samples", f"{many} samples", "ratio"),
            floatfmt=(".0f", ".1f", ".1f", ".3f"),
        )
    )


def _medians(turns: list[Peaks]) -> Mapping[str, float]:
    sums = zip(*(peaks.measures for peaks in turns), strict=True)
    medians = {f"all together, {name}": statistics.median(column) for name, column in zip(MEASURES, sums, strict=True)}
    for role in _by_role(turns[0]):
        medians[f"greatest {role}, high-water mark"] = statistics.median(
            _by_role(peaks).get(role, 0) for peaks in turns
        )
    return medians


if __name__ == "__main__":
    main()
