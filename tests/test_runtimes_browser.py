"""Runtimes in Chromium: browsers that are missing, die, hang or lose their graphics, and effects of half floats."""

import contextlib
import itertools
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
from contracts import NO_OPTIONS, executors, job_of, refuse_absent

from quantlab import AnalyzeOptions, analyze
from quantlab.formats import FORMATS
from quantlab.processes import ChildPool, ChildStalled, end_lasting_children
from quantlab.runtimes import RUNTIMES, Job, Taps, create_output, input_files, protocol
from quantlab.runtimes.browser import find_browser, graphics_cards, notes, untimed
from quantlab.runtimes.browser_tree import browser_processes
from quantlab.runtimes.exchange import TensorFile, tensor_file
from quantlab.runtimes.requests import Run, request_document
from quantlab.runtimes.taps import graph_taps, open_session
from quantlab.store import Store
from quantlab.types import TensorSpec
from quantlab.types.messages import Done, Failed, Message, Progress, Ready

pytestmark = pytest.mark.starts_children

SECONDS = 180
"""Within which whatever is waited for happens, however busy the machine."""


@pytest.fixture
def place(monkeypatch) -> Iterator[Path]:
    """Where this test's browsers have their folders: all of them are gone after it, and all of their processes."""
    refuse_absent(RUNTIMES["chromium-wasm"])
    end_lasting_children()  # so that a browser that is wanted is started here
    with tempfile.TemporaryDirectory(prefix="q-", dir="/tmp") as name:  # short, for the sake of their sockets
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)
        end_lasting_children()
        assert list(Path(name).iterdir()) == []
        assert processes_below(Path(name)) == []


@pytest.fixture(scope="module")
def patience(workbench, tmp_path_factory) -> float:
    """Seconds within which a browser of this machine has started and run a job: thrice what it takes now."""
    refuse_absent(RUNTIMES["chromium-wasm"])
    end_lasting_children()
    folder = tmp_path_factory.mktemp("patience")
    short = long_job("chromium-wasm", workbench, folder, n=3)
    began = time.monotonic()
    with ChildPool(folder / "pool", stall_seconds=300) as pool:
        assert list(protocol.run(RUNTIMES["chromium-wasm"], short, pool))[-1] == Done()
    return max(4.0, 3 * (time.monotonic() - began))


def processes_below(folder: Path, told: str = "cmdline") -> list[str]:
    """Of the processes that have the folder in their command line, or in their `environ`, what that says."""
    texts = []
    for file in Path("/proc").glob(f"[0-9]*/{told}"):
        with contextlib.suppress(OSError):
            text = file.read_bytes().decode(errors="replace")
            texts += [text] if str(folder) in text else []
    return texts


def browser(place: Path, kind: str) -> int:
    """The process id of the browser that runs there, or of one of its processes (`renderer`, `gpu-process`)."""
    (folder,) = place.iterdir()
    wanted = {
        pid: command
        for pid, command in browser_processes(folder).items()
        if (f"--type={kind}" in command if kind else "--type=" not in command and "crashpad" not in command)
    }
    # Of the others, which draw the browser's windows or wait for the next page, none has worked.
    return max((pid for pid, command in wanted.items() if "--top-chrome-webui" not in command), key=_ticks_worked)


def _ticks_worked(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@contextlib.contextmanager
def working(runtime_name, workbench, folder, *, n=50_000, batch_size=1, stall_seconds=300.0):
    """The messages of a job that goes on for as long as a test needs, from its first batch on."""
    job = long_job(runtime_name, workbench, folder, n=n, batch_size=batch_size)
    with ChildPool(folder / "shop", stall_seconds=stall_seconds) as pool:
        messages = protocol.run(RUNTIMES[runtime_name], job, pool)
        with contextlib.closing(messages):
            assert [type(next(messages)), type(next(messages))] == [Ready, Progress]
            yield messages


def long_job(runtime_name, workbench, folder, *, n=50_000, batch_size=1) -> Job:
    runtime = RUNTIMES[runtime_name]
    variant, samples = workbench.float32("activations", "tfjs"), workbench.samples("activations")
    many = replace(samples, folder=folder / "many", n=n)
    many.folder.mkdir(parents=True)
    for spec in samples.inputs:
        np.save(many.input_file(spec.name), np.resize(np.load(samples.input_file(spec.name)), (n, *spec.shape[1:])))
    (output,) = workbench.models["activations"].outputs
    create_output(folder / "out.npy", n=n, shape=output.shape[1:], dtype="float32")
    outputs = {variant.outputs[0].name: folder / "out.npy"}
    return job_of(runtime, variant, many, outputs, batch_size=batch_size)


CRASHED = (
    "the page crashed in the browser, probably because memory ran out; "
    "run fewer samples at once with --batch-size, or leave this runtime out with --runtimes"
)
GONE = "the browser ended during its work, perhaps because the system ran out of memory"
LOST = (
    "the browser took the WebGL context away, probably because graphics memory ran out or its graphics process "
    "ends; run fewer samples at once with --batch-size, or leave this runtime out with --runtimes"
)
DEVICE_LOST = (
    "the browser took the WebGPU device away (…); run fewer samples at once with --batch-size, or leave this runtime "
    "out with --runtimes"
)


@pytest.mark.parametrize(
    ("runtime", "kind", "reason"),
    [
        pytest.param("chromium-wasm", "", GONE, id="the browser is killed"),
        pytest.param("chromium-wasm", "renderer", CRASHED, id="its page is killed"),
        pytest.param("chromium-webgl", "gpu-process", LOST, id="its graphics are killed"),
        pytest.param("chromium-webgpu", "gpu-process", DEVICE_LOST, id="the WebGPU device is lost"),
    ],
)
def test_what_dies_costs_its_row(runtime, kind, reason, place, workbench, tmp_path):
    with working(runtime, workbench, tmp_path) as messages:
        os.kill(browser(place, kind), signal.SIGKILL)
        *_, last = messages
    # What a browser says of itself differs with its version.
    assert last == Failed(ANY)
    assert re.sub(r"\(.+\)", "(…)", last.reason) == reason


def two_in_a_row(first: Job, second: Job, place: Path, folder: Path, meanwhile=lambda: None) -> tuple[list[dict], bool]:
    """The last messages of two jobs in one pool, and whether one browser ran both."""
    runtime, lasts, browsers = RUNTIMES["chromium-wasm"], [], []
    with ChildPool(folder / "shop", stall_seconds=300) as pool:
        for job in (first, second):
            for message in protocol.run(runtime, job, pool):
                if isinstance(message, Ready):
                    browsers.append(browser(place, ""))
                    meanwhile()
            lasts.append(message)
    return lasts, len(set(browsers)) == 1 and len(browsers) == 2


def test_a_browser_is_kept_for_the_next_job_and_the_page_is_not(place, workbench, tmp_path):
    job = long_job("chromium-wasm", workbench, tmp_path, n=200)
    at_work = []
    lasts, kept = two_in_a_row(job, job, place, tmp_path, lambda: at_work.append(browser(place, "renderer")))
    assert (lasts, kept) == ([Done()] * 2, True)
    assert len(set(at_work)) == 2


def test_a_browser_is_not_kept_after_a_job_that_failed(place, workbench, tmp_path):
    job = long_job("chromium-wasm", workbench, tmp_path, n=8)
    with ChildPool(tmp_path / "shop", stall_seconds=300) as pool:
        *_, failed = protocol.run(RUNTIMES["chromium-wasm"], replace(job, artifact=str(tmp_path / "gone")), pool)
        assert isinstance(failed, Failed)
        assert list(place.iterdir()) == []
        *_, last = protocol.run(RUNTIMES["chromium-wasm"], job, pool)
    assert last == Done()


def test_a_browser_that_lost_its_graphics_is_not_kept(place, workbench, tmp_path):
    """The job that draws nothing is done; one after it that draws would not get what a fresh browser gives."""
    job = long_job("chromium-wasm", workbench, tmp_path, n=200)

    def kill_graphics():
        os.kill(browser(place, "gpu-process"), signal.SIGKILL)

    lasts, kept = two_in_a_row(job, job, place, tmp_path, kill_graphics)
    assert (lasts, kept) == ([Done(ending=True)] * 2, False)


def test_a_browser_that_ends_between_jobs_is_replaced(place, workbench, tmp_path):
    job = long_job("chromium-wasm", workbench, tmp_path, n=8)
    with ChildPool(tmp_path / "shop", stall_seconds=300) as pool:
        assert list(protocol.run(RUNTIMES["chromium-wasm"], job, pool))[-1] == Done()
        os.kill(browser(place, ""), signal.SIGKILL)
        until = time.monotonic() + SECONDS
        while (processes_below(place, "environ") or list(place.iterdir())) and time.monotonic() < until:
            time.sleep(0.05)
        assert list(place.iterdir()) == []
        assert list(protocol.run(RUNTIMES["chromium-wasm"], job, pool))[-1] == Done()


def test_what_hangs_is_ended(patience, place, workbench, tmp_path):
    with working("chromium-wasm", workbench, tmp_path, stall_seconds=patience) as messages:
        os.kill(browser(place, "renderer"), signal.SIGSTOP)
        with pytest.raises(ChildStalled):
            list(messages)
        assert list(place.iterdir()) == []


def test_a_job_that_is_left_is_ended(place, workbench, tmp_path):
    with working("chromium-wasm", workbench, tmp_path) as messages:
        messages.close()
        assert list(place.iterdir()) == []


ORPHAN = """
import json, sys, tempfile
from pathlib import Path
from quantlab.runtimes import RUNTIMES, protocol
from quantlab.processes import ChildPool
from quantlab.runtimes.requests import request_from
tempfile.tempdir = sys.argv[2]
with ChildPool(Path(sys.argv[3]), stall_seconds=300) as pool:
    for message in protocol.run(RUNTIMES["chromium-wasm"], request_from(json.loads(sys.argv[1])).job, pool):
        print(message.type, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("n", "until"), [pytest.param(50_000, b"ready\n", id="at work"), pytest.param(3, b"done\n", id="between jobs")]
)
def test_a_study_that_is_killed_leaves_nothing(n, until, place, workbench, tmp_path):
    document = request_document(Run(long_job("chromium-wasm", workbench, tmp_path, n=n)))
    with orphan(ORPHAN, document, place, tmp_path) as study:
        while study.stdout.readline() != until:
            assert study.poll() is None
    assert left_below(place) == []


def left_below(place: Path) -> list[Path]:
    """What is left in a folder, once all processes that work there are gone and had their time to remove it."""
    until = time.monotonic() + SECONDS
    while (list(place.iterdir()) or processes_below(place)) and time.monotonic() < until:
        time.sleep(0.05)
    return list(place.iterdir())


ORPHAN_READING = """
import json, os, sys, signal, tempfile
from pathlib import Path
from quantlab.runtimes import RUNTIMES
from quantlab.runtimes.requests import request_from
from quantlab.runtimes.taps import open_session
from quantlab.processes import ChildPool
tempfile.tempdir = sys.argv[2]
with ChildPool(Path(sys.argv[3]), stall_seconds=300) as pool:
    session = open_session(RUNTIMES["chromium-wasm"], request_from(json.loads(sys.argv[1])).job, pool)
    session.read(0, 2)
    print("read", flush=True)
    sys.stdin.readline()
    session.read(0, 2)
"""


@contextlib.contextmanager
def orphan(code: str, request: dict, place: Path, folder: Path) -> Iterator[subprocess.Popen]:
    """A program with a job in a browser, which is killed at the end of the block."""
    command = [sys.executable, "-c", code, json.dumps(request), str(place), str(folder / "shop")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as program:
        yield program
        program.kill()


def test_a_study_that_is_killed_while_a_page_hangs_leaves_nothing(place, workbench, tmp_path):
    """As it reads inside a variant, where the page has been asked for more and never answers."""
    job = replace(
        long_job("chromium-wasm", workbench, tmp_path, n=8),
        taps=Taps(str(tmp_path / "taps.bin"), ()),
    )
    with orphan(ORPHAN_READING, request_document(Run(job)), place, tmp_path) as program:
        assert program.stdout.readline() == b"read\n"
        os.kill(browser(place, "renderer"), signal.SIGSTOP)
        program.stdin.write(b"more\n")
        program.stdin.flush()
        time.sleep(0.5)
    assert left_below(place) == []


def test_what_is_left_where_all_are_killed_goes_with_the_next_job(place, workbench, tmp_path):
    """The program, the driver and the browser at once, as a system does that stops a container."""
    job = long_job("chromium-wasm", workbench, tmp_path)
    with orphan(ORPHAN, request_document(Run(job)), place, tmp_path) as program:
        while program.stdout.readline() != b"ready\n":
            assert program.poll() is None
        (left,) = place.iterdir()
        at_work = [int(file.parent.name) for file in Path("/proc").glob("[0-9]*/cmdline") if is_of(left, file)]
        for pid in at_work:
            os.kill(pid, signal.SIGSTOP)
        for pid in (program.pid, *at_work):
            os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + SECONDS
    while (processes_below(place) or processes_below(place, "environ")) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)  # a process that ends shows nothing for a moment before it lets its files go
    assert list(place.iterdir()) == [left]
    assert last_message("chromium-wasm", a_relu(tmp_path / "model"), tmp_path) == Done()
    end_lasting_children()
    assert list(place.iterdir()) == []


def is_of(folder: Path, command: Path) -> bool:
    """Whether a process has the folder in its command line or its environment."""
    texts = b""
    with contextlib.suppress(OSError):
        texts = command.read_bytes() + (command.parent / "environ").read_bytes()
    return str(folder).encode() in texts


def test_a_browser_of_another_time_limit_is_not_kept(place, workbench, tmp_path):
    """Its pages have the limit that it was started with, and no driver may be silent for longer than a study allows."""
    job, browsers = long_job("chromium-wasm", workbench, tmp_path, n=8), []
    for stall_seconds in (300, 40, 300):
        with ChildPool(tmp_path / "shop", stall_seconds=stall_seconds) as pool:
            *_, last = protocol.run(RUNTIMES["chromium-wasm"], job, pool)
            assert last == Done()
        browsers.append({folder.name for folder in place.iterdir()})
    first, both, again = browsers
    assert (len(first), len(both), again) == (1, 2, both)


def test_memory_stays_flat(place, workbench, tmp_path):
    """Over five hundred batches: were they kept, their tensors would be more than what is allowed."""
    batch = 64
    with working("chromium-wasm", workbench, tmp_path, n=900 * batch, batch_size=batch) as messages:
        at = {batch * batches for batches in (250, 500, 750)}
        readings = (
            resident_bytes(browser(place, "renderer"))
            for message in messages
            if isinstance(message, Progress) and message.done in at
        )
        held = list(itertools.islice(readings, len(at)))  # not the batches after them
        input_bytes = sum(file.stat().st_size for file in (tmp_path / "many").iterdir())
    assert len(held) == len(at)
    assert max(held) - held[0] < 40e6 < input_bytes * 500 / 900 * 4


def hand_made(folder: Path, nodes: list[dict], weights: dict[str, np.ndarray]) -> Path:
    """A graph-model from `x` to the last of its nodes."""
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"".join(array.tobytes() for array in weights.values()))
    constants = [
        {"name": name, "op": "Const", "attr": {"dtype": {"type": _types(array)}}} for name, array in weights.items()
    ]
    placeholder = {"name": "x", "op": "Placeholder", "attr": {"dtype": {"type": "DT_FLOAT"}}}
    manifest = [
        {"name": name, "shape": list(array.shape), "dtype": array.dtype.name} for name, array in weights.items()
    ]
    document = {
        "format": "graph-model",
        "modelTopology": {"node": [placeholder, *constants, *nodes], "versions": {}},
        "weightsManifest": [{"paths": ["weights.bin"], "weights": manifest}],
    }
    (folder / "model.json").write_text(json.dumps(document))
    return folder


def _types(array: np.ndarray) -> str:
    return {"float32": "DT_FLOAT", "int32": "DT_INT32"}[array.dtype.name]


def last_message(runtime_name: str, artifact: Path, folder: Path, stall_seconds: float = 300) -> Message:
    """Of a hand-made model on one sample of four ones."""
    np.save(folder / "x.npy", np.ones((1, 4), np.float32))
    create_output(folder / "y.npy", n=1, shape=(4,), dtype="float32")
    tensors = [tensor_file(folder / f"{name}.npy", TensorSpec(name, (), ""), None, 0) for name in ("x", "y")]
    runtime = RUNTIMES[runtime_name]
    job = Job(
        "tfjs",
        str(artifact),
        runtime.backend,
        1,
        0,
        1,
        (tensors[0],),
        (tensors[1],),
        FORMATS["tfjs"].options(artifact),
        **executors("tfjs"),
    )
    with ChildPool(folder / "shop", stall_seconds=stall_seconds) as pool:
        *_, last = protocol.run(runtime, job, pool)
    return last


@pytest.mark.usefixtures("place")
def test_memory_that_runs_out_is_a_reason(tmp_path):
    tile = {"name": "y", "op": "Tile", "input": ["x", "many"], "attr": {"T": {"type": "DT_FLOAT"}}}
    model = hand_made(tmp_path / "model", [tile], {"many": np.array([2**20, 2**13], np.int32)})
    last = last_message("chromium-cpu", model, tmp_path)
    assert isinstance(last, Failed)
    assert last.reason.startswith("the tfjs library could not run this variant on the backend cpu: ")


@pytest.mark.usefixtures("place")
def test_an_op_that_the_backend_lacks_is_named_with_its_node(tmp_path):
    attributes = {"equation": {"s": "aWosamstPmlr"}, "N": {"i": "2"}, "T": {"type": "DT_FLOAT"}}
    einsum = {"name": "y", "op": "Einsum", "input": ["x", "square"], "attr": attributes}
    model = hand_made(tmp_path / "model", [einsum], {"square": np.eye(4, dtype=np.float32)})
    assert last_message("chromium-wasm", model, tmp_path) == Failed(
        "the wasm backend of tfjs lacks the op 'Einsum', which node 'y' needs", missing_op="Einsum"
    )


def a_relu(folder: Path) -> Path:
    relu = {"name": "y", "op": "AddV2", "input": ["x", "bias"], "attr": {"T": {"type": "DT_FLOAT"}}}
    return hand_made(folder, [relu], {"bias": np.zeros(4, np.float32)})


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("runtime_name", ["node-wasm", "chromium-wasm"])
def test_a_json_file_of_another_name(runtime_name, tmp_path):
    model = a_relu(tmp_path / "model")
    (model / "weights.bin").write_bytes(np.float32([0.5, 1, 2, 3]).tobytes())
    json_file = (model / "model.json").rename(model / "model-stride16.json")
    assert isinstance(last_message(runtime_name, json_file, tmp_path), Done)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), np.float32([[1.5, 2, 3, 4]]))


@pytest.mark.usefixtures("place")
def test_a_shard_outside_the_variant_is_not_read(tmp_path):
    model = a_relu(tmp_path / "model")
    (model / "weights.bin").rename(tmp_path / "weights.bin")
    document = json.loads((model / "model.json").read_text())
    document["weightsManifest"][0]["paths"] = ["../weights.bin"]
    (model / "model.json").write_text(json.dumps(document))
    assert last_message("chromium-wasm", model, tmp_path).reason == (
        "model.json names the weight file '../weights.bin', which lies outside the variant's folder; "
        "nothing outside is read, so convert the model again"
    )


@pytest.mark.usefixtures("place")
def test_a_link_that_leads_outside_the_variant_is_not_followed(tmp_path):
    model = a_relu(tmp_path / "model")
    (model / "weights.bin").rename(tmp_path / "weights.bin")
    (model / "weights.bin").symlink_to(tmp_path / "weights.bin")
    assert last_message("chromium-wasm", model, tmp_path).reason == (
        "the variant's file 'weights.bin' cannot be read (status 404); convert the model again"
    )


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("length", [pytest.param(15, id="cut short"), pytest.param(17, id="too long")])
def test_a_shard_of_another_length(length, tmp_path):
    model = a_relu(tmp_path / "model")
    (model / "weights.bin").write_bytes(bytes(length))
    assert last_message("chromium-wasm", model, tmp_path).reason == (
        f"'weights.bin' holds {length} bytes, and model.json describes 16; a copy was cut short or mixed with another, "
        "so convert the model again"
    )


REMEDY = (
    "install one ('apt-get install chromium' on Debian), name one with QUANTLAB_CHROME, "
    "or leave these runtimes out with --runtimes"
)
ASK_BROWSER = """
from quantlab.errors import RuntimeUnavailable
from quantlab.runtimes.browser import find_browser
try:
    found = find_browser()
    print(found.program, found.version)
except RuntimeUnavailable as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        pytest.param(
            None,
            "the browser at '{program}' does not start ([Errno 2] No such file or directory: '{program}'); " + REMEDY,
            id="nothing",
        ),
        pytest.param(
            "#!/bin/sh\necho Chromium 112.0.5615.138 built on Debian 11.6",
            f"the browser at '{{program}}' has version 112.0.5615.138, and version 113 or newer is required; {REMEDY}",
            id="an old one",
        ),
        pytest.param(
            "#!/bin/sh\necho Mozilla Firefox 128.3.0esr",
            f"'{{program}}' is neither Chromium nor Chrome: it reports 'Mozilla Firefox 128.3.0esr'; {REMEDY}",
            id="another browser",
        ),
        pytest.param(
            "#!/bin/sh\nexit 3",
            "the browser at '{program}' does not start (Command '['{program}', '--version']' returned non-zero exit "
            f"status 3.); {REMEDY}",
            id="one that fails",
        ),
        pytest.param(
            "#!/bin/sh\necho Google Chrome for Testing 131.0.6778.85",
            "{program} 131.0.6778.85",
            id="leaves alone",
        ),
    ],
)
def test_a_browser_that_is_none(script, sentence, tmp_path):
    """In a process of its own: what was found is remembered."""
    program = tmp_path / "my-chrome"
    if script:
        program.write_text(script)
        program.chmod(0o755)
    environment = {**os.environ, "QUANTLAB_CHROME": str(program), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", ASK_BROWSER], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == sentence.format(program=program) + "\n"


def test_no_browser_at_all(tmp_path):
    environment = {"PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", ASK_BROWSER], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"the runtimes chromium-* need Chromium or Chrome, and none was found; {REMEDY}\n"


@contextlib.contextmanager
def another_browser(program: Path, body: str) -> Iterator[None]:
    """Use a program of ours as the browser; `$CHROME` in it is the real one."""
    program.write_text(f"#!/bin/sh\nCHROME='{find_browser().program}'\n{body}\n")
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTLAB_CHROME", str(program))
        yield


SAYS_ITS_VERSION = '[ "$1" = --version ] && echo Chromium 131.0.0.0 && exit'
WITHOUT_WEBGPU = """
for each; do
  shift
  case "$each" in --enable-unsafe-webgpu | --use-webgpu-adapter=*) ;; *) set -- "$@" "$each" ;; esac
done
exec "$CHROME" --disable-features=WebGPU "$@"
"""
NO_SANDBOX = (
    "the browser found no sandbox that it may use; allow user namespaces (on Debian and Ubuntu "
    "'sysctl kernel.unprivileged_userns_clone=1' or 'kernel.apparmor_restrict_unprivileged_userns=0'), "
    "or install its own with 'apt-get install chromium-sandbox'"
)
NOT_STARTED = (
    "the browser did not start within 5 seconds; close programs that keep this machine busy, or name another browser "
    "with QUANTLAB_CHROME"
)
NOT_LOADED = (
    "the page did not load in the browser within {} seconds; close programs that keep this machine busy, and if it "
    "still does not load, install quantlab again, since a file of it may be missing"
)
NO_ADAPTER = (
    "this browser has no WebGPU adapter, neither of a graphics card nor in software; install a Chromium or Chrome that "
    "has one, or leave chromium-webgpu out with --runtimes"
)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("runtime", "body", "reason"),
    [
        pytest.param("chromium-webgpu", WITHOUT_WEBGPU, NO_ADAPTER, id="has no WebGPU adapter"),
        pytest.param(
            "chromium-wasm",
            'exec "$CHROME" --js-flags=--max-old-space-size=1 "$@"',
            CRASHED,
            id="has no memory for the page",
        ),
        pytest.param(
            "chromium-wasm",
            f"{SAYS_ITS_VERSION}\n"
            "echo '[7:7:1121/081500.1:FATAL:zygote_host_impl_linux.cc(128)] No usable sandbox! If you are running on "
            "Ubuntu 23.10+ or another Linux distro that has disabled unprivileged user namespaces …' >&2\n"
            "kill -ABRT $$",
            NO_SANDBOX,
            id="may use no sandbox",
        ),
        pytest.param("chromium-wasm", f"{SAYS_ITS_VERSION}\nexec sleep 300", NOT_STARTED, id="never starts"),
        pytest.param(
            "chromium-wasm",
            'exec "$CHROME" --proxy-server=127.0.0.1:9 \'--proxy-bypass-list=<-loopback>\' "$@"',
            NOT_LOADED,
            id="loads no page",
        ),
    ],
)
def test_a_browser_that(runtime, body, reason, patience, tmp_path):
    loading = min(12, math.ceil(patience))  # half of the time for which it may be silent, in whole seconds
    stall_seconds = {NOT_STARTED: 10, NOT_LOADED: 2 * loading}.get(reason, 300)
    with another_browser(tmp_path / "my-chrome", body):
        last = last_message(runtime, a_relu(tmp_path / "model"), tmp_path, stall_seconds)
    assert last == Failed(reason.format(loading))


@pytest.mark.usefixtures("place")
def test_a_browser_that_does_not_come_up_is_a_reason(tmp_path):
    """It says its version and then ends, as one that lacks a library does."""
    with another_browser(tmp_path / "my-chrome", f"{SAYS_ITS_VERSION}\nexit 127"):
        last = last_message("chromium-wasm", a_relu(tmp_path / "model"), tmp_path)
    assert isinstance(last, Failed)
    assert last.reason.startswith("the browser could not be started or stopped working: ")


NO_PORT_LEFT = """
import os, socket, sys
from pathlib import Path
Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40000")
taken = socket.socket()
taken.bind(("127.0.0.1", 0))
taken.set_inheritable(True)
os.execv(sys.executable, [sys.executable, "-m", "quantlab.runtimes.chromium", "chromium", "30"])
"""


def test_no_port_to_be_had_is_a_reason(place, workbench, tmp_path):
    """In a network of its own that has one port, which is in use."""
    document = request_document(Run(long_job("chromium-wasm", workbench, tmp_path)))
    alone = ["unshare", "--net", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs unshare of util-linux, and a system that lets it make a network of its own")
    (own := place / "own").mkdir()
    environment = {**os.environ, "TMPDIR": str(own), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*alone, sys.executable, "-c", NO_PORT_LEFT]
    # Its standard input stays open, or it would take us for dead.
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdin.write(json.dumps(document).encode() + b"\n")
        child.stdin.flush()
        said = child.stdout.read()
    assert json.loads(said) == {
        "type": "failed",
        "reason": "no port on 127.0.0.1 is available for the page (Address already in use); close programs that "
        "use many ports",
    }


def test_another_graphics_card_is_another_key(tmp_path):
    """Outputs are kept by what decides them: for WebGL and WebGPU the graphics cards, which software does without."""
    assert graphics_cards(tmp_path) == "none"
    card, driver = tmp_path / "sys/class/drm/renderD128", tmp_path / "sys/bus/pci/drivers/i915"
    (card / "device").mkdir(parents=True)
    driver.mkdir(parents=True)
    (card / "device" / "vendor").write_text("0x8086\n")
    (card / "device" / "device").write_text("0x5917\n")
    (card / "device" / "driver").symlink_to(driver)
    assert graphics_cards(tmp_path) == "none"  # which a program in a container may not open
    (tmp_path / "dev/dri").mkdir(parents=True)
    (tmp_path / "dev/dri/renderD128").touch()
    assert graphics_cards(tmp_path) == "0x8086:0x5917 i915"


def test_only_what_draws_depends_on_the_graphics_card():
    refuse_absent(RUNTIMES["chromium-wasm"])
    drawn = {
        name
        for name, runtime in RUNTIMES.items()
        if name[:9] == "chromium-" and "graphics" in runtime.environment(FORMATS["tfjs"])
    }
    assert drawn == {"chromium-webgl", "chromium-webgl16", "chromium-webgpu"}


@pytest.fixture
def tapped(place, workbench, tmp_path):  # noqa: ARG001  # a fixture cannot use another by a mark
    """The tensors inside a small model in a runtime, by name."""

    def read(runtime_name):
        variant, samples = workbench.float32("activations", "tfjs"), workbench.samples("activations")
        (port,), (output,) = variant.outputs, workbench.models["activations"].outputs
        outputs = (TensorFile(port.name, "", 0, output.shape[1:], "float32", port.tensor, port.position),)
        inputs = input_files(samples, variant)
        job = Job("tfjs", str(variant.path), "", 3, 0, samples.n, inputs, outputs, NO_OPTIONS, **executors("tfjs"))
        with ChildPool(tmp_path / runtime_name, stall_seconds=300) as pool:
            names = [tap.name for tap in graph_taps(job, pool) if tap.reason is None]
            file = tmp_path / f"{runtime_name}.bin"
            session = open_session(RUNTIMES[runtime_name], replace(job, taps=Taps(str(file), tuple(names))), pool)
            session.read(0, 3)
            reading = session.read(3, 6)  # as many, since WebGL compiles its programs for each size of a batch
            return {name: np.array(value) for name, value in reading.taps.items()}

    return read


def test_half_floats_are_what_is_stored(tapped):
    """In `chromium-webgl16` every tensor holds half floats exactly, in the others hardly any."""
    floats, halves, wasm = (tapped(name) for name in ("chromium-webgl", "chromium-webgl16", "chromium-wasm"))
    assert floats.keys() == halves.keys() == wasm.keys()
    assert len(floats) > 10
    inner = [name for name, value in wasm.items() if not _are_halves(value)]
    assert len(inner) > 5
    for name in inner:
        assert _are_halves(halves[name]), name
        np.testing.assert_allclose(floats[name], wasm[name], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(halves[name], wasm[name], rtol=2e-2, atol=5e-3)


def _are_halves(values: np.ndarray) -> bool:
    return bool((values.astype(np.float16).astype(np.float32) == values).all())


@pytest.fixture(scope="module")
def fashion(data_folder, begun, tmp_path_factory):
    """16 samples of a real model in every runtime of a browser, by setting and runtime."""
    refuse_absent(RUNTIMES["chromium-wasm"])
    folder = data_folder / "fashion-mnist"
    options = AnalyzeOptions(
        settings=("tfjs-float32", "tflite-int8"),
        runtimes=("python", "node-wasm", "chromium-wasm", "chromium-webgl*", "chromium-webgpu"),
        out=begun("fashion", tmp_path_factory.mktemp("fashion") / "study"),
        limit=16,
        batch_size=8,  # two of one size, since WebGL compiles its programs for each
        layers=False,
        timing_rounds=1,  # whether there are times is tested, not what they are
    )
    study = analyze(folder / "fashion_dscnn.keras", data=str(folder / "test.npz"), options=options)
    costs = Store(options.out).read_costs()
    return {(trial.setting, trial.runtime): trial for trial in study.trials}, costs, study.scored_output


def values(trial, output):
    return np.load(trial.outputs[output])


def test_a_real_model_in_a_browser(fashion):
    trials, _, output = fashion
    assert {trial.failure for trial in trials.values()} == {None}
    python = values(trials["tfjs-float32", "python"], output)
    for name, most in (("wasm", 1e-5), ("webgl", 1e-4), ("webgpu", 1e-4), ("webgl16", 5e-2)):
        assert np.abs(values(trials["tfjs-float32", f"chromium-{name}"], output) - python).max() <= most
    assert not np.array_equal(values(trials["tfjs-float32", "chromium-webgl16"], output), python)
    for setting in ("tfjs-float32", "tflite-int8"):
        node = values(trials[setting, "node-wasm"], output)
        np.testing.assert_allclose(values(trials[setting, "chromium-wasm"], output), node, atol=1e-6)


def test_a_row_says_what_ran_it(fashion):
    trials, costs, _ = fashion
    said = {runtime: trial.environment for (setting, runtime), trial in trials.items() if setting == "tfjs-float32"}
    for runtime in ("chromium-wasm", "chromium-webgl", "chromium-webgl16", "chromium-webgpu"):
        assert {"chromium", "user_agent", "tfjs", "bundle", "sandbox"} <= said[runtime].keys()
    assert said["chromium-webgl16"]["webgl_half_float_textures"] == "forced"
    assert said["chromium-webgl"]["webgl_half_float_textures"] == "no"
    assert int(said["chromium-webgl"]["max_texture_size"]) >= 2048
    by_place = {(row.setting, row.runtime): row for row in costs.rows}
    for (setting, runtime), trial in trials.items():
        why, row = untimed(trial.environment), by_place[setting, runtime]
        assert (trial.timing is None, row.reason, row.steady_median_ms is None) == (
            why is not None,
            why,
            why is not None,
        )
        assert set(notes(trial.environment)) | {why} - {None} <= set(trial.notes)
