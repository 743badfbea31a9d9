"""Kills workers of a study in shards, and its scheduler: `python benchmarks/shard_kills.py FOLDER --kills 20 --seed 0`.

A Dask cluster of two worker processes is started on this machine, and a small study runs on it. While shards run, a
worker, or a child of one that runs a variant, gets SIGKILL at a random moment; in the last round, the scheduler does.
A study that ends must have the outputs of one that nobody disturbed, byte for byte. A row that does not end must name
its shard, or what was lost; run again with the same command, it must give the same bytes. Every sample must be in one
shard of each row, and no claim may be left. FOLDER keeps what differs. Linux only: needs `/proc`.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from watching import children, family

from quantlab.demo import MODEL
from quantlab.demo.digits import samples

STUDY = "digits.study"
SHARD_SIZE = 512
TIMES = 8
"""Noisy copies of the samples of the demo, so that shards run for some seconds."""
OPTIONS = (
    *("--settings", "tfjs-uint8,tflite-dynamic", "--runtimes", "python,node-wasm", "--no-layers", "--no-costs"),
    *("--shard-size", str(SHARD_SIZE), "--engine", "dask"),
)
PATIENCE = 300.0
"""Seconds in which a command ends, also if what it waits for was killed."""
ATTEMPTS = 3
"""Studies that are begun for each kill, at most: one may end before its moment."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    seconds: float
    """Time in which shards ran."""
    hit: str
    """What was killed, and when; empty if nothing was."""
    said: str


@dataclass(slots=True)
class Cluster:
    """A scheduler and its workers, which are started again after they were killed."""

    folder: Path
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """The address of the scheduler."""
        return str(json.loads((self.folder / "scheduler.json").read_text())["address"])

    def start(self) -> None:
        """Start the scheduler and two workers, and wait until they know each other."""
        (self.folder / "scheduler.json").unlink(missing_ok=True)
        self._start("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", "scheduler.json")
        while not (self.folder / "scheduler.json").is_file():
            time.sleep(0.1)
        for number in range(2):
            options = ("--nthreads", "1", "--no-dashboard", "--local-directory", f"worker-{number}")
            self._start("worker", "--scheduler-file", "scheduler.json", *options)
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=PATIENCE)

    def _start(self, program: str, *options: str) -> None:
        with (self.folder / "cluster.log").open("ab") as log:
            command = [sys.executable, "-m", f"distributed.cli.dask_{program}", *options]
            self._running.append(
                subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            )

    def stop(self) -> None:
        """End everything."""
        for process in self._running:
            process.terminate()
        for process in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
        self._running.clear()

    def victims(self, kind: str) -> list[int]:
        """The processes of a kind: `scheduler`, `worker` or `child`."""
        scheduler, *nannies = [process.pid for process in self._running]
        if kind == "scheduler":
            return [scheduler]
        # A nanny has the worker, and a helper of multiprocessing that tracks what is to be removed.
        workers = [pid for nanny in nannies for pid in children(nanny) if "spawn_main" in _command(pid)]
        return workers if kind == "worker" else [pid for worker in workers for pid in family(worker) if pid != worker]


def _command(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def analyze(place: Path, cluster: Cluster, kind: str = "", moment: float = 0.0) -> Ended:
    """Run the study's command; after `moment` seconds of shards, kill a process of a kind."""
    command = [sys.executable, "-m", "quantlab", "analyze", "digits.keras", "--data", "digits.npz", "--out", STUDY]
    began, hit, shards = 0.0, "", place / STUDY / "shards"
    with (place / "log").open("w+") as log:
        running = subprocess.Popen(
            [*command, *OPTIONS, "--address", cluster.address], cwd=place, stdout=log, stderr=log, process_group=0
        )
        until = time.monotonic() + PATIENCE
        while running.poll() is None and time.monotonic() < until:
            began = began or (time.monotonic() if any(shards.glob("*claim*")) else 0.0)
            if kind and not hit and began and time.monotonic() - began >= moment:
                hit = _kill(cluster.victims(kind), time.monotonic() - began)
            time.sleep(0.02)
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        log.seek(0)
        return Ended(running.wait(), time.monotonic() - (began or time.monotonic()), hit, log.read())


def _kill(victims: list[int], after: float) -> str:
    if not victims:
        return ""
    victim = random.choice(victims)  # noqa: S311 (no secret)
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return ""
    return f"killed after {after:.1f} s"


def faults(ended: Ended, study: Path, expected: dict[str, str]) -> list[str]:
    """What differs from the study that nobody disturbed; nothing if it ended as it should."""
    if ended.status:
        named = any(word in ended.said for word in ("shard ", "scheduler", "workers"))
        return [] if named else [f"it ended with {ended.status} and does not say what was lost"]
    found = sums(study)
    wrong = [name for name in sorted(expected | found) if expected.get(name) != found.get(name)]
    left = [file.name for file in study.glob("shards/*claim*")]
    return [f"{name} differs" for name in wrong] + [f"{name} is left" for name in left] + list(uncovered(study))


def sums(study: Path) -> dict[str, str]:
    """File → SHA-256, of all outputs."""
    files = sorted((study / "outputs").rglob("*.npy"))
    return {str(file.relative_to(study)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def uncovered(study: Path) -> Iterator[str]:
    """Rows whose shards do not hold every sample once."""
    count = json.loads((study / "study.json").read_text())["samples"]["n"]
    for record in sorted((study / "outputs").rglob("shards.json")):
        edges = [(shard["start"], shard["stop"]) for shard in json.loads(record.read_text())["shards"]]
        if [start for start, _ in edges] + [count] != [0] + [stop for _, stop in edges]:
            yield f"{record.relative_to(study)} has the shards {edges} of {count} samples"


def laid_out(place: Path, made: Path | None) -> Path:
    """A folder with the model, the samples, and the variants of another study."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    shutil.copy(MODEL, place / "digits.keras")
    x, y = samples()
    noise = np.random.default_rng(0).normal(scale=0.02, size=(TIMES, *x.shape)).astype(x.dtype)
    np.savez(place / "digits.npz", x=(x + noise).reshape(-1, *x.shape[1:]), y=np.tile(y, TIMES))
    kept = [made / STUDY / name for name in ("model", "samples", "variants", "transfer")] if made else []
    for one in kept:
        if one.is_dir():
            shutil.copytree(one, place / STUDY / one.name)
    return place


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster that ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where studies are made; it is created")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder, bad, again = arguments.folder.absolute(), 0, 0
    random.seed(arguments.seed)
    with running_cluster(folder / "cluster") as cluster:
        undisturbed = laid_out(folder / "undisturbed", None)
        if analyze(undisturbed, cluster).status:
            sys.exit(f"the study that nobody disturbs failed; see '{undisturbed / 'log'}'")
        # The first one has also made the variants: what is disturbed begins with them.
        whole = analyze(laid_out(folder / "second", undisturbed), cluster).seconds
        expected = sums(undisturbed / STUDY)
        print(f"{len(expected)} files of outputs; shards run for {whole:.1f} s", flush=True)
        kinds = [random.choice(("worker", "child")) for _ in range(arguments.kills)]  # noqa: S311
        for number, kind in enumerate([*kinds, "scheduler"]):
            place, ended = folder / f"kill-{number}", Ended(0, 0.0, "", "")
            for _ in range(ATTEMPTS):
                laid_out(place, undisturbed)
                ended = analyze(place, cluster, kind, random.uniform(0, 0.9 * whole))  # noqa: S311
                if ended.hit:
                    break
            if kind == "scheduler":
                cluster.stop()
                cluster.start()
            wrong = faults(ended, place / STUDY, expected) if ended.hit else ["nothing was killed"]
            if ended.status and not wrong:
                again += 1
                wrong = faults(repeated := analyze(place, cluster), place / STUDY, expected)
                wrong += [f"the second run ended with {repeated.status}"] if repeated.status else []
            bad += bool(wrong)
            outcome = "; ".join(wrong) or ("the same bytes" if not ended.status else "the same bytes when run again")
            print(f"{number}: {kind}, {ended.hit}; exit {ended.status}; {outcome}", flush=True)
            if not wrong:
                shutil.rmtree(place)
    print(f"{len(kinds) + 1} kills, {again} of them ended the command, {bad} with a deviation")
    sys.exit(int(bool(bad)))


if __name__ == "__main__":
    main()
