"""Malformed files: each reader returns a result or raises a QuantlabError, within a memory limit.

Here a few of each kind, the same in every run; `make mutations` tries 5,000. MUTATIONS is how many there are in all,
and MUTATIONS_SEED makes others.
"""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from faulty_readers import FAULTY
from foreign_readers import READERS, Reader
from mutation_child import GOOD, MOST_BYTES, MOST_GROWTH, Outcome, known_reader
from small_models import SmallModel

from quantlab.processes import Child, PythonModule, python_environment
from quantlab.processes.preload import WORKERS

ALL = int(os.environ.get("MUTATIONS", "600"))
"""Malformed files of all readers together."""

SEED = int(os.environ.get("MUTATIONS_SEED", "1"))

SHARES = sum(reader.share for reader in READERS.values())

PATIENCE = 60
"""Seconds for a process to start, on a machine that does other things too."""


def started(log: Path, module: str, *, opens: bool) -> Child:
    """A process that reads malformed files in forks: itself a fork where it opens models, otherwise a new program."""
    if opens:
        environment = {**python_environment(onednn=True), "OMP_NUM_THREADS": "1"}
        return Child(PythonModule(module, WORKERS), log=log, environment=environment)
    # Not a fork of the server of workers, which the quick tests do without.
    path = os.pathsep.join(filter(None, sys.path))
    return Child([sys.executable, "-P", "-m", module], log=log, environment={"PYTHONPATH": path})


@pytest.fixture(scope="module")
def children(tmp_path_factory) -> Iterator[Callable[[bool], Child]]:
    """The process for readers that open models, and that for the others; each is started when it is first needed."""
    log, running = tmp_path_factory.mktemp("logs") / "child.log", {}

    def child(opens: bool) -> Child:
        if opens not in running:
            running[opens] = started(log, "mutation_child", opens=opens)
        return running[opens]

    yield child
    for process in running.values():
        process.close()


def prepared(reader: Reader, folder: Path, models: Callable[[], Mapping[str, SmallModel]]) -> Path:
    """Write the good file of a reader into a folder; gives the file."""
    folder.mkdir()
    if reader.make is not None:
        return reader.make(folder)
    source = models()[reader.model].path
    (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / source.name)
    return folder / source.name / reader.file


def outcomes(child: Child, reader: str, folder: Path, file: Path, count: int) -> tuple[list[Outcome], float]:
    """What becomes of a good file, the first, and of some that are changed; and the CPU time of all so far."""
    child.send(
        {
            "reader": reader,
            "template": str(folder),
            "file": str(file.relative_to(folder)),
            "work": str(folder.with_name("work")),
            "seed": SEED,
            "count": count,
        }
    )
    *said, spent, last = child.messages(known_reader(reader).seconds + PATIENCE)
    assert (last["type"], spent["type"]) == ("done", "spent"), (last, spent)
    return [Outcome(**{key: value for key, value in line.items() if key != "type"}) for line in said], spent["seconds"]


def problem(outcome: Outcome, good: Outcome, reader: Reader, file: Path) -> str | None:
    """What a malformed file did that none may."""
    allowed = MOST_GROWTH * outcome.size_bytes + MOST_BYTES + max(good.peak_bytes, 0)
    names = {file.name, *reader.says, *(folder.name for folder in file.parents if folder.name)}
    if outcome.ended == "hung" or (outcome.ended == "killed" and not reader.crashes) or outcome.ended == "raised":
        return f"{outcome.number} {outcome.ended}: {outcome.said[:300]}"
    if outcome.ended == "refused" and not any(name in outcome.said for name in names):
        return f"{outcome.number} names no file: {outcome.said[:300]}"
    if outcome.ended == "refused" and not any(mark in outcome.said for mark in ("; ", ", so ")):
        return f"{outcome.number} has no remedy: {outcome.said[:300]}"
    if outcome.of_memory:
        return f"{outcome.number} asked for more memory than there is: {outcome.said[:300]}"
    if outcome.peak_bytes > allowed:
        return f"{outcome.number} took {outcome.peak_bytes / 1e6:.0f} MB for {outcome.size_bytes:,} bytes"
    return None


def try_out(child: Child, name: str, folder: Path, file: Path, count: int) -> list[str]:
    """Problems with malformed files; says what became of them."""
    (good, *changed), seconds = outcomes(child, name, folder, file, count)
    assert (good.number, good.ended) == (GOOD, "read"), good
    print(f"{name}: {dict(Counter(outcome.ended for outcome in changed))}, {seconds:.1f} s of CPU time so far")
    assert len(changed) == count
    reader = known_reader(name)
    return [text for outcome in changed if (text := problem(outcome, good, reader, file)) is not None]


def count_of(reader: Reader) -> int:
    return max(1, round(ALL * reader.share / SHARES))


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if not reader.opens])
def test_malformed(name, children, tmp_path):
    file = prepared(READERS[name], tmp_path / "good", dict)
    assert try_out(children(False), name, tmp_path / "good", file, count_of(READERS[name])) == []


@pytest.mark.starts_children
@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if reader.opens])
def test_malformed_where_it_is_opened(name, children, small_models, tmp_path):
    file = prepared(READERS[name], tmp_path / "good", lambda: small_models)
    assert try_out(children(True), name, tmp_path / "good", file, count_of(READERS[name])) == []


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_seen(name, children, tmp_path):
    reader, said = FAULTY[name]
    file = prepared(reader, tmp_path / "good", dict)
    problems = try_out(children(False), name, tmp_path / "good", file, 2)
    assert len(problems) == 2
    assert all(said in text for text in problems), problems
