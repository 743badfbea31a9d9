"""Time and memory of a judgement, compared with plain NumPy that computes only means.

The outputs are random logits of 50,000 samples and 1,000 classes in mapped `.npy` files, one file for each of 18
trials. A judgement computes changed answers, intervals, classes, divergence, spread, calibration and the worst samples
of each, and the verdict. Plain NumPy computes top-1 of both sides, their mean accuracy and the difference, file by
file, on one thread. Memory is that of the process without mapped files (RssAnon, sampled), minus the value before. Only
the ratio can be compared between machines.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from quantlab.gate import gather
from quantlab.models import files_sha256
from quantlab.store import Store
from quantlab.types import (
    Budget,
    KeptOutputs,
    ModelDescription,
    Port,
    SampleSet,
    Study,
    TensorSpec,
    Timing,
    Trial,
    Variant,
    Verdict,
)

SAMPLES, CLASSES, TRIALS, BLOCK = 50_000, 1_000, 18, 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--folder", type=Path, help="for the files, about 200 MB a trial; the system's by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        files, labels = write(Path(folder), (arguments.samples, arguments.classes), arguments.trials)
        study = study_of(Path(folder), files)
        plain = measured(lambda: means(files, labels))
        whole = measured(lambda: judged(study))
    rows = [("judgement", *whole), ("plain NumPy, means only", *plain), ("ratio", whole[0] / plain[0], None)]
    print(tabulate(rows, ("", "seconds", "MiB beyond mapped files"), floatfmt=".1f"))


def write(folder: Path, shape: tuple[int, int], trials: int) -> tuple[list[Path], NDArray[np.int64]]:
    """Write the reference and candidates with increasing errors; most labels equal the reference's top-1."""
    random = np.random.default_rng(0)
    files = [folder / "outputs" / str(index) / "python" / "key" / "logits.npy" for index in range(trials + 1)]
    for file in files:
        file.parent.mkdir(parents=True)
    maps = [np.lib.format.open_memmap(file, "w+", np.float32, shape) for file in files]
    labels = random.integers(0, shape[1], shape[0])
    for start in range(0, shape[0], BLOCK):
        rows = slice(start, start + BLOCK)
        reference = random.standard_normal((len(labels[rows]), shape[1]), np.float32)
        reference[np.arange(len(reference)), labels[rows]] += 4
        maps[0][rows] = reference
        noise = random.standard_normal(reference.shape, np.float32)
        for index, candidate in enumerate(maps[1:], start=1):
            candidate[rows] = reference + np.roll(noise, index, axis=1) * np.float32(0.01 * index)
    for mapped in maps:
        mapped.flush()
    np.save(folder / "labels.npy", labels)
    return files, labels


def study_of(folder: Path, files: Sequence[Path]) -> Study:
    """The study, with the records of its outputs, whose hashes a judgement checks."""
    spec = TensorSpec("logits", (None, CLASSES), "float32")
    for file in files:
        kept = KeptOutputs({"logits": file}, "python", {}, Timing(1, 0.1), {"logits": files_sha256(file)})
        Store(folder).write(file.parent / "outputs.json", kept)
    trials = [_trial(f"tfjs-uint8-{place}", file, folder, place) for place, file in enumerate(files[1:], 1)]
    return Study(
        model=ModelDescription("model.keras", "Keras 3", "0" * 64, (spec,), (spec,), None),
        samples=SampleSet(folder, (spec,), len(np.load(files[0], mmap_mode="r")), True, "0" * 64, "x.npz", 0, "all"),
        calibration=None,
        task="classification",
        scored_output="logits",
        classes=True,
        probabilities=False,
        batch_size=32,
        seed=0,
        reference=Trial("reference", "python", ran_on="python", outputs={"logits": files[0]}),
        trials=tuple(trials),
    )


def judged(study: Study) -> Verdict:
    """Do what `quantlab gate` does with a study: compute the evidence of every trial, and the verdict."""
    return gather(study, Budget(max_accuracy_loss="0.5pt", max_class_loss="5pt", min_agreement="90%")).verdict


def _trial(setting: str, file: Path, folder: Path, place: int) -> Trial:
    port = Port("logits", "logits:0", 0, (None, CLASSES), "float32")
    variant = Variant(
        setting, "tfjs", folder / setting, f"{place:064x}", 1000 * place, 900 * place, (port,), (port,), {"uint8": 800}
    )
    return Trial(setting, "python", variant, ran_on="python", outputs={"logits": file})


def means(files: list[Path], labels: NDArray[np.int64]) -> list[tuple[float, float]]:
    reference = np.load(files[0], mmap_mode="r")
    figures = [(float((reference.argmax(axis=1) == labels).mean()), 0.0)]
    for file in files[1:]:
        candidate = np.load(file, mmap_mode="r")
        accuracy, difference = 0, 0.0
        for start in range(0, len(labels), BLOCK):
            rows = slice(start, start + BLOCK)
            accuracy += int((candidate[rows].argmax(axis=1) == labels[rows]).sum())
            difference += float(np.abs(candidate[rows] - reference[rows]).sum(dtype=np.float64))
        figures.append((accuracy / len(labels), difference / candidate.size))
    return figures


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of `work`, and the maximum growth of this process's memory in MiB."""
    before, peak, done = anonymous_mib(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], anonymous_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    try:
        work()
    finally:
        seconds = time.perf_counter() - begun
        done.set()
        watcher.join()
    return seconds, max(0.0, peak[0] - before)


def anonymous_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
