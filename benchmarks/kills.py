"""Kills studies and checks that they continue: `python benchmarks/kills.py FOLDER --kills 100 --seed 0`.

The small study of the demo is killed at random moments of every phase, and run again with the same command. Then
outputs, `study.json` without times, and `inside.json` must equal those of an undisturbed study byte for byte, and no
process and no temporary file may be left.

A phase starts from a copy of the undisturbed study without the files of this and later phases, so that a kill takes
only seconds. FOLDER keeps the undisturbed study, and each study that differs from it. Linux only: processes are
identified by a variable in their environment, in `/proc`.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from quantlab.seals import SEAL

VICTIMS = ("parent", "group", "child", "server")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TIMES = {"seconds", "convert_seconds", "timing", "created", SEAL}
"""Keys of times, and of the hash over the record that holds them."""
MARK = "QUANTLAB_KILLS"
STUDY = "digits.study"
GONE_SECONDS = 20.0
"""Time limit for processes to end after a kill."""


@dataclass(frozen=True)
class Phase:
    """A phase of a study."""

    name: str
    keeps: tuple[str, ...]
    """Parts of the undisturbed study that exist at its start."""
    begins: str
    """A file that appears when the phase starts."""
    seconds: float
    """Kills happen at a random time within these seconds; if the program ends earlier, within half of them."""


OPENED = ("model", "samples")
MADE = (*OPENED, "variants", "transfer")
RUN = (*MADE, "outputs")
PHASES = (
    Phase("open", (), "work/temporary", 16),
    Phase("convert", OPENED, "work/unfinished", 24),
    Phase("run", MADE, "work/unfinished", 16),
    Phase("inside", RUN, "study.json", 16),
    Phase("costs", (*RUN, "inside", "inside.json"), "study.json", 12),
)


@dataclass(frozen=True)
class Kill:
    """One kill: the victim, the signal and the time."""

    number: int
    phase: Phase
    victim: str
    signal: signal.Signals
    moment: float
    """From 0, the start of the phase, to 1."""


@dataclass(frozen=True)
class Outcome:
    """The result of a kill."""

    kill: Kill
    hit: str
    """Which process was killed, and when."""
    status: int
    """Exit status of the program that was killed, or whose child was."""
    faults: tuple[str, ...]
    sentence: str
    """The last line that the program printed."""

    @property
    def ended(self) -> str:
        """How the killed program ended."""
        return signal.Signals(-self.status).name if self.status < 0 else f"exit {self.status}"


@dataclass(frozen=True)
class Studies:
    """Runs the study's command in folders below one folder."""

    folder: Path

    @property
    def undisturbed(self) -> Path:
        """The study to compare with, made if it does not exist."""
        place = self.folder / "undisturbed"
        study = place / STUDY
        if not (study / "costs.json").is_file():
            shutil.rmtree(place, ignore_errors=True)
            (place / "tmp").mkdir(parents=True)
            running = self.start(place)
            if running.wait():
                sys.exit(f"the undisturbed study ended with {running.returncode}: {_last_line(place / 'log')}")
            left = [*_left_files(place), *_left_processes(place, GONE_SECONDS)]
            if left:
                sys.exit(f"the undisturbed study left {', '.join(left)}")
        return study

    def start(self, place: Path) -> subprocess.Popen[bytes]:
        """Start the command in its own process group."""
        settings = ("--settings", "tfjs-uint8,tflite-dynamic", "--runtimes", "python,node-wasm")
        with (place / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "quantlab", "demo", "--out", STUDY, *settings],
                cwd=place,
                env={**os.environ, "TMPDIR": str(place / "tmp"), MARK: str(place)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def disturb(self, kill: Kill) -> Outcome:
        """Kill, check what is left, run again, and compare."""
        place = self.folder / f"kill-{kill.number}"
        for seconds in (kill.phase.seconds, kill.phase.seconds / 2, kill.phase.seconds / 4, 0):
            self._lay_out(place, kill.phase)
            running = self.start(place)
            hit = _strike(running, place, kill, seconds)
            status = running.wait()
            if hit is not None:
                break
        sentence = _last_line(place / "log")
        left = [f"left after the kill: {process}" for process in _left_processes(place, GONE_SECONDS)]
        left += [f"left after the kill: {file}" for file in _left_files(place)]
        again = self.start(place).wait()
        faults = [
            *left,
            *([f"the second run ended with {again}: {_last_line(place / 'log')}"] if again else []),
            *_left_processes(place, GONE_SECONDS),
            *_left_files(place),
            *([] if again else _differences(self.undisturbed, place / STUDY)),
        ]
        if not faults:
            shutil.rmtree(place)
        return Outcome(kill, hit or "nobody", status, tuple(faults), sentence)

    def _lay_out(self, place: Path, phase: Phase) -> None:
        shutil.rmtree(place, ignore_errors=True)
        (place / "tmp").mkdir(parents=True)
        for name in phase.keeps:
            kept = self.undisturbed / name
            target = place / STUDY / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(kept, target) if kept.is_dir() else shutil.copy2(kept, target)


def _strike(running: subprocess.Popen[bytes], place: Path, kill: Kill, seconds: float) -> str | None:
    """Wait for the moment, and kill; None if the program ended before."""
    sign = place / STUDY / kill.phase.begins
    while not sign.exists():
        if running.poll() is not None:
            return None
        time.sleep(0.02)
    began, until = time.monotonic(), time.monotonic() + kill.moment * seconds
    while running.poll() is None:
        if time.monotonic() >= until:
            victims = _victims(running.pid, place, kill.victim)  # there may be no child at this moment
            if victims:
                pid = random.Random(kill.number).choice(victims)  # noqa: S311 (no secret)
                what = _describe(pid)
                try:
                    (os.killpg if kill.victim == "group" else os.kill)(pid, kill.signal)
                except ProcessLookupError:
                    continue
                return f"{what} after {time.monotonic() - began:.1f} s"
        time.sleep(0.02)
    return None


def _victims(parent: int, place: Path, victim: str) -> list[int]:
    if victim in {"parent", "group"}:
        return [parent]
    others = [pid for pid in _marked(place) if pid != parent]
    servers = [pid for pid in others if "fork_server" in _command(pid) and _stat(pid)[1] == str(parent)]
    return servers if victim == "server" else [pid for pid in others if pid not in servers]


def _marked(place: Path) -> list[int]:
    """The processes of a run, identified by the variable that they inherit; forks show that of their server."""
    mark = f"{MARK}={place}\0".encode()
    pids = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if mark in (folder / "environ").read_bytes() and _stat(int(folder.name))[0] != "Z":
                    pids.append(int(folder.name))
            except OSError:  # it has ended, or is another user's
                continue
    return sorted(pids)


def _stat(pid: int) -> list[str]:
    """State, parent and so on of a process (proc(5)); "Z" if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return ["Z", "0"]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _describe(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "a process that had just ended"


def _left_processes(place: Path, seconds: float) -> list[str]:
    until = time.monotonic() + seconds
    while (left := _marked(place)) and time.monotonic() < until:
        time.sleep(0.1)
    described = [f"process {_describe(pid)}: {_command(pid)[:120]}" for pid in left]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return described


def _left_files(place: Path) -> list[str]:
    folders = (place / "tmp", place / STUDY / "work" / "temporary")
    return [f"file {file.relative_to(place)}" for folder in folders if folder.is_dir() for file in folder.iterdir()]


def _differences(expected: Path, got: Path) -> Iterator[str]:
    for path in ("inside.json", *_files(expected / "outputs", "*.npy"), *_files(got / "outputs", "*.npy")):
        one, other = expected / path, got / path
        if not one.is_file() or not other.is_file() or one.read_bytes() != other.read_bytes():
            yield f"{path} differs"
    one, other = (_without_times(json.loads((study / "study.json").read_text())) for study in (expected, got))
    yield from (f"study.json differs at {key}" for key in one if one[key] != other.get(key))
    if (leftover := got / "work" / "unfinished").exists():
        yield f"{leftover.name} is left"


def _files(folder: Path, pattern: str) -> list[str]:
    return sorted(str(file.relative_to(folder.parent)) for file in folder.rglob(pattern))


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(member) for key, member in value.items() if key not in TIMES}
    return [_without_times(member) for member in value] if isinstance(value, list) else value


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else ""


def _draw(count: int, seed: int) -> list[Kill]:
    """Every combination of phase, victim and signal equally often, in random order."""
    numbers = random.Random(seed)  # noqa: S311 (no secret)
    cells = [(phase, victim, number) for phase in PHASES for victim in VICTIMS for number in SIGNALS]
    drawn: list[tuple[Phase, str, signal.Signals]] = []
    while len(drawn) < count:
        drawn += numbers.sample(cells, len(cells))
    return [Kill(place, *cell, numbers.random()) for place, cell in enumerate(drawn[:count])]


def _report(outcomes: Sequence[Outcome]) -> None:
    rows = Counter(
        (outcome.kill.phase.name, outcome.kill.victim, outcome.kill.signal.name, outcome.ended) for outcome in outcomes
    )
    bad = Counter(
        (outcome.kill.phase.name, outcome.kill.victim, outcome.kill.signal.name, outcome.ended)
        for outcome in outcomes
        if outcome.faults or outcome.hit == "nobody"
    )
    order = {phase.name: place for place, phase in enumerate(PHASES)}
    lines = [(*row, n, n - bad[row]) for row, n in sorted(rows.items(), key=lambda item: (order[item[0][0]], item[0]))]
    print(tabulate(lines, headers=("phase", "victim", "signal", "the run ended with", "kills", "as undisturbed")))
    print(f"\n{len(outcomes)} kills, {sum(bad.values())} with a deviation")


def _tell(outcome: Outcome) -> None:
    kill = outcome.kill
    print(
        f"{kill.number}: {kill.phase.name}, {kill.victim}, {kill.signal.name}: {outcome.hit}; {outcome.ended}; ", end=""
    )
    print("; ".join(outcome.faults) or "the same", f"[{outcome.sentence}]", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where studies are made; it is created")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=1, help="studies at a time")
    parser.add_argument("--minutes", type=float, default=600, help="no kill is begun later than this")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # otherwise studies would inherit that it is ignored
    studies = Studies(arguments.folder.absolute())
    until = time.monotonic() + 60 * arguments.minutes
    print(f"to compare with: {studies.undisturbed}", flush=True)
    outcomes: list[Outcome] = []

    def work(kill: Kill) -> None:
        if time.monotonic() < until:
            outcome = studies.disturb(kill)
            outcomes.append(outcome)
            _tell(outcome)

    with ThreadPoolExecutor(arguments.at_once) as pool:
        list(pool.map(work, _draw(arguments.kills, arguments.seed)))
    _report(outcomes)
    sys.exit(int(any(outcome.faults or outcome.hit == "nobody" for outcome in outcomes)))


if __name__ == "__main__":
    main()
