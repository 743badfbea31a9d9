"""Kills searches and checks that they continue: `python benchmarks/tune_kills.py FOLDER --kills 10 --seed 0`.

`quantlab tune` of the demo's model is killed (SIGKILL to its process group) at random moments in the first 60 % of the
time of an undisturbed search, which is the first one and so the slowest, and run again with the same command. The
decisions and the bytes of the artifact must then equal those of the undisturbed search, and no temporary file may be
left. A search that ended before its moment tells nothing, and another moment is drawn, at most three for each kill. It
is a failure if fewer searches were killed than asked for.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from quantlab.demo import MODEL
from quantlab.demo.digits import samples
from quantlab.store import Store

OPTIONS = ("--settings", "tfjs-uint8", "--runtimes", "python", "--no-layers", "--no-costs", "--target", "web")
COMMAND = ("tune", "digits.keras", "--data", "digits.npz", *OPTIONS, "--max-accuracy-loss", "2pt")


_SHARE = 0.6
"""Share of the time of the first search in which kills fall: the later ones find TensorFlow's files in memory."""
_ATTEMPTS = 3
"""Searches that are begun for each kill, at most."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    moments = random.Random(asked.seed)  # noqa: S311 (no secret depends on it)
    began = time.monotonic()
    expected = result(search(laid_out(asked.folder / "undisturbed")))
    whole = time.monotonic() - began
    print(f"an undisturbed search takes {whole:.0f} s")
    faults = kills = attempts = 0
    while kills < asked.kills and attempts < _ATTEMPTS * asked.kills:
        attempts += 1
        moment = moments.uniform(0, _SHARE * whole)
        place = laid_out(asked.folder / f"kill-{attempts}")
        if search(place, seconds=moment) is None:
            print(f"attempt {attempts}: the search ended before {moment:.1f} s, and tells nothing")
            continue
        kills += 1
        again = result(search(place))
        left = [path.name for path in (place / "tmp").iterdir()]
        fault = "" if again == expected and not left else f"differs, or left {left}"
        faults += bool(fault)
        print(f"kill {kills} after {moment:5.1f} s: {fault or 'the same bytes'}")
    print(f"{faults} of {kills} differ; {kills} of {asked.kills} searches were killed in {attempts} attempts")
    sys.exit(1 if faults or kills < max(asked.kills, 1) else 0)


def laid_out(place: Path) -> Path:
    """A new folder with the model and its samples."""
    shutil.rmtree(place, ignore_errors=True)
    (place / "tmp").mkdir(parents=True)
    shutil.copy(MODEL, place / "digits.keras")
    x, y = samples()
    np.savez(place / "digits.npz", x=x, y=y)
    return place


def search(place: Path, seconds: float | None = None) -> Path | None:
    """Run the search, killed after some seconds; None if it ended before."""
    running = subprocess.Popen(
        [sys.executable, "-m", "quantlab", *COMMAND],
        cwd=place,
        env={**os.environ, "TMPDIR": str(place / "tmp")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    if seconds is None:
        running.wait()
        return place
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        return place
    return None


def result(place: Path | None) -> tuple[object, dict[str, bytes]]:
    """What was decided, and the bytes of the artifact."""
    if place is None:
        raise ValueError("the search was killed")
    store = Store(place / "digits.study")
    variant = next(
        trial.variant for trial in store.read_study().trials if trial.variant is not None and trial.variant.candidates
    )
    return store.read_tuning().formats, {file.name: file.read_bytes() for file in sorted(variant.path.iterdir())}


if __name__ == "__main__":
    main()
