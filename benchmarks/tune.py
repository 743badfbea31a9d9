"""Wall time of `quantlab tune` by phase, its memory, sums of single errors beside errors, and bytes against loss.

    tune.py MODEL DATA [OPTION…]            runs `quantlab tune` in a new folder, and prints its phases
    tune.py --figure OUT.svg NAME=STUDY…    draws what the searches of some studies measured

The options are those of `quantlab tune`.
"""

import argparse
import math
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from quantlab.cli.exit_status import BREAKS, INCONCLUSIVE, OK
from quantlab.store import Store
from quantlab.types import Candidate

_STEP = re.compile(r"^\s*[\d.]+ s  (.+?): .*\(([\d.]+) s")
_PHASES = {
    "open": "open the model",
    "read the inputs": "read and sum the inputs of kernels",
    "store weights": "measure kernels one by one",
    "divide bytes": "measure divisions",
    "take back": "take decisions back",
    "convert": "convert",
    "run": "run",
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    if asked.figure is not None:
        studies = [one.partition("=") for one in asked.arguments]
        asked.figure.write_text(drawn([curve(name, Path(folder)) for name, _, folder in studies]))
        return
    model, data, *options = asked.arguments
    measure(model, data, options)


def measure(model: str, data: str, options: Sequence[str]) -> None:
    """Run a search, and print how long each phase took, and its memory."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "quantlab",
            "tune",
            model,
            "--data",
            data,
            *options,
            "--out",
            f"{folder}/study",
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        whole = time.monotonic() - began
        if done.returncode not in (OK, BREAKS, INCONCLUSIVE):
            sys.exit(f"{done.stderr}the search ended with the status {done.returncode}, so nothing was measured")
        phases: dict[str, float] = {}
        for line in done.stderr.splitlines():
            if (step := _STEP.match(line)) is not None:
                phase = next((name for word, name in _PHASES.items() if step[1].startswith(word)), "other")
                phases[phase] = phases.get(phase, 0.0) + float(step[2])
        for phase, seconds in phases.items():
            print(f"{phase:36} {seconds:7.1f} s {seconds / whole:6.0%}")
        print(f"{'the whole':36} {whole:7.1f} s")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"largest process: {peak:,.0f} MB")
        print(*compared(Path(folder) / "study"), sep="\n")
        print(*done.stderr.splitlines()[-3:], sep="\n")


def compared(study: Path) -> Iterator[str]:
    """The measured error of each division of bytes beside the sum of the errors of its kernels alone."""
    yield f"{'candidate':24} {'KB':>8} {'sum of single errors':>22} {'measured':>10} {'ratio':>6}"
    for decided in Store(study).read_tuning().formats.values():
        for one in decided.candidates:
            if one.summed_error:
                ratio = one.error / one.summed_error
                size = one.size_bytes / 1e3
                yield f"{one.name:24} {size:8.1f} {one.summed_error:22.3g} {one.error:10.3g} {ratio:6.2f}"


@dataclass(frozen=True)
class Curve:
    """What one search measured."""

    name: str
    candidates: tuple[Candidate, ...]
    chosen: str


def curve(name: str, folder: Path) -> Curve:
    """The candidates of the first format of a tuned study."""
    decided = next(iter(Store(folder).read_tuning().formats.values()))
    return Curve(name, decided.candidates, decided.chosen)


WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 460, 300, 54, 44, 34


def drawn(curves: Sequence[Curve]) -> str:
    """An SVG with a panel for each search: size of all files against the divergence from the model."""
    rows = -(-len(curves) // 2)
    box = f"0 0 {2 * WIDTH} {rows * HEIGHT}"
    label = "Size of all files against the divergence from the model"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img" aria-label="{label}">',
        '<g font-family="sans-serif" font-size="12">',
        f'<rect width="{2 * WIDTH}" height="{rows * HEIGHT}" fill="#ffffff"/>',
    ]
    for place, one in enumerate(curves):
        parts.append(f'<g transform="translate({place % 2 * WIDTH} {place // 2 * HEIGHT})">')
        parts += panel(one)
        parts.append("</g>")
    return "\n".join([*parts, "</g>", "</svg>", ""])


def panel(one: Curve) -> Iterator[str]:
    """The elements of one panel."""
    shown = [candidate for candidate in one.candidates if 1e-7 < candidate.error < math.inf]
    sizes, errors = [candidate.size_bytes for candidate in shown], [candidate.error for candidate in shown]
    low, high = math.log(min(sizes) / 1.1), math.log(max(sizes) * 1.1)
    least, most = math.floor(math.log10(min(errors))), math.ceil(math.log10(max(errors)))

    def x(size: float) -> float:
        return LEFT + (WIDTH - LEFT - 16) * (math.log(size) - low) / (high - low)

    def y(error: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (math.log10(error) - least) / (most - least)

    yield f'<text x="{LEFT}" y="20" font-weight="bold" fill="#222222">{escape(one.name)}</text>'
    for power in range(least, most + 1):
        yield f'<line x1="{LEFT}" x2="{WIDTH - 16}" y1="{y(10**power):.1f}" y2="{y(10**power):.1f}" stroke="#dddddd"/>'
        yield f'<text x="{LEFT - 6}" y="{y(10**power) + 4:.1f}" text-anchor="end" fill="#444444">1e{power}</text>'
    for size in ticks(min(sizes), max(sizes)):
        where = f'x="{x(size):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle"'
        yield f'<text {where} fill="#444444">{size / 1e3:g}</text>'
    yield f'<text x="{WIDTH - 16}" y="{HEIGHT - 8}" text-anchor="end" fill="#444444">KB gzipped</text>'
    yield f'<text x="{LEFT}" y="{HEIGHT - 8}" fill="#444444">KL divergence, nats</text>'
    for candidate in shown:
        at = f'cx="{x(candidate.size_bytes):.1f}" cy="{y(candidate.error):.1f}"'
        if candidate.name == one.chosen:
            yield f'<circle {at} r="6" fill="#d55e00"/>'
        elif candidate.official:
            yield f'<circle {at} r="5" fill="#0072b2"/>'
        else:
            yield f'<circle {at} r="3" fill="none" stroke="#d55e00"/>'
    for candidate in shown:
        if candidate.official or candidate.name == one.chosen:
            label = "tuned" if candidate.name == one.chosen else candidate.name.partition("-")[2]
            anchor = "end" if label == "tuned" or x(candidate.size_bytes) > WIDTH - 110 else "start"
            shift, drop = (-8 if anchor == "end" else 8), (16 if label == "uint8" else -6)
            yield (
                f'<text x="{x(candidate.size_bytes) + shift:.1f}" y="{y(candidate.error) + drop:.1f}" '
                f'text-anchor="{anchor}" fill="#222222">{escape(label)}</text>'
            )


def ticks(least: float, most: float) -> list[float]:
    """Round numbers between two sizes."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    return [step * 10**power for power in powers for step in (1, 1.5, 2, 3, 5, 7) if least <= step * 10**power <= most]


if __name__ == "__main__":
    main()
