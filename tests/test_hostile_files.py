"""Hostile files end a command with a sentence, and leave the disk, the network and the memory as they were."""

import base64
import contextlib
import json
import shutil
import socket
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import Done, quantlab_in_process
from contracts import opening_job
from kept import kept, make_in_fork
from onnx import TensorProto, helper
from refusals import refused
from study_fixtures import DIGITS, read_study, snapshot

from quantlab.models import ModelOptions
from quantlab.processes import ChildPool, living_children
from quantlab.runtimes import python
from quantlab.runtimes.protocol import ask
from quantlab.runtimes.requests import Open
from quantlab.store import Store
from quantlab.types.messages import Opened

pytestmark = pytest.mark.starts_children

JS = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "fixtures"
ALLOWED_BYTES = 64e6
"""Beside four times the size of the file."""


@pytest.fixture(scope="module")
def acting(request):
    """Models that act, made by TensorFlow."""

    def make(folder: Path) -> None:
        make_in_fork("hostile_models", {"folder": str(folder)}, folder / "made.log")

    return kept(request, "hostile-models", ("hostile_models.py",), make)


@dataclass
class Peaks:
    """The most memory that this process and its children held, while it watched."""

    own: int = 0
    children: int = 0
    _before: set[int] = field(default_factory=living_children)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Watch until the end of the block."""
        over = threading.Event()
        watching = threading.Thread(target=self._watch, args=(over,))
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of before
        start = held("self", "VmRSS")
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()
            self.own = held("self", "VmHWM") - start

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(0.005):
            for pid in living_children() - self._before:
                self.children = max(self.children, held(str(pid), "VmHWM"))


def held(process: str, what: str) -> int:
    """Bytes, as the system tells; 0 for a process that has ended."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:")), 0)
    return 0


@pytest.fixture(scope="module")
def usual_bytes(acting, tmp_path_factory) -> int:
    """What a child holds that opens a model which is not hostile, TensorFlow included."""
    folder, peaks = tmp_path_factory.mktemp("usual"), Peaks()
    with peaks.watched(), ChildPool(folder / "shop", stall_seconds=120) as pool:
        opening = Open(opening_job(acting / "fine.h5", ModelOptions(), folder / "exported"))
        assert isinstance(next(iter(ask(python.HOST, opening, pool))), Opened)
    return peaks.children


@pytest.fixture(scope="module")
def libraries(digits_study, tmp_path_factory) -> None:
    """All that an analysis imports into this process, which is no memory of a hostile file's."""
    copy = shutil.copytree(digits_study, tmp_path_factory.mktemp("libraries") / "place")
    assert quantlab_in_process(*DIGITS, cwd=copy).status == 0


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that hostile files name; nobody may connect."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def private(tmp_path, monkeypatch) -> Path:
    """The folder for temporary files of this test alone."""
    folder = tmp_path / "private"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


@dataclass(frozen=True)
class Case:
    """A hostile file, the command that is given it, and what is said."""

    command: str
    message: str
    make: Callable[[Path, str], object] = lambda _place, _address: None
    """Makes the file in the current folder; it may name the address of a server."""
    acts: str | None = None
    """The model of `hostile_models` that is copied there."""
    row: bool = False
    """Whether it is a variant: that costs its own row, and nothing else."""


ANALYZE_MODEL = "analyze {} --data digits.npz --out new.study"
CONVERT_MODEL = "convert {} --settings tfjs-float32 --out web"
GIVEN = (
    "analyze digits.keras --data digits.npz --settings tfjs-uint8 --runtimes python --no-layers --no-costs --variant"
)
DOES_MORE = "which does more than compute: it may read or write files, call Python or use the network"
TRUSTED = "if you trust the model, allow it with --unsafe"
OUTSIDE = "which is outside its folder; save it again with onnx.save(model, 'model.onnx', save_as_external_data=True)"
OWN_ALONE = "and a model's weights are read from its own file alone; if you trust the file, allow it with --unsafe"


def changed(place: Path, name: str, data: bytes) -> None:
    """The embedded example with another member of its archive."""
    with zipfile.ZipFile(place / "digits.keras") as good, zipfile.ZipFile(place / "bad.keras", "w") as bad:
        for member in good.namelist():
            bad.writestr(member, data if member == name else good.read(member))


def with_lambda(place: Path, _: str) -> None:
    """The embedded example with a layer of Python code."""
    with zipfile.ZipFile(place / "digits.keras") as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["layers"][1] = {"class_name": "Lambda", "config": {"name": "odd", "function": "…"}}
    changed(place, "config.json", json.dumps(config).encode())


def keras_bomb(place: Path, _: str) -> None:
    with zipfile.ZipFile(place / "bad.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
        with archive.open("config.json", "w") as member:
            for _piece in range(1000):
                member.write(b" " * 1_000_000)


def npz_bomb(name: str) -> Callable[[Path, str], None]:
    """One array of a gigabyte of zeros."""

    def make(place: Path, _: str) -> None:
        arrays = np.load(place / "digits.npz")
        good = {key: arrays[key] for key in arrays.files if key != name}
        np.savez_compressed(place / "bad.npz", **good)
        shape = (2_000_000, *arrays[name].shape[1:]) if name != "y" else (128_000_000,)
        with (
            zipfile.ZipFile(place / "bad.npz", "a", zipfile.ZIP_DEFLATED) as archive,
            archive.open(f"{name}.npy", "w", force_zip64=True) as member,
        ):
            dtype = np.dtype(arrays[name].dtype if name != "y" else np.int64)
            header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            left = int(np.prod(shape)) * dtype.itemsize
            while left:
                left -= member.write(bytes(min(left, 1_000_000)))

    return make


def h5_file(path: Path, outside: Callable[[h5py.File], object]) -> None:
    """A Keras 2 file of one layer, whose kernel lies elsewhere."""
    layer = {"name": "dense", "units": 3, "batch_input_shape": [None, 4], "dtype": "float32"}
    layers = {"name": "s", "layers": [{"class_name": "Dense", "config": layer}]}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers})
        file.attrs["keras_version"], file.attrs["backend"] = "2.15.0", "tensorflow"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"dense"]
        weights.create_group("dense/dense").attrs["weight_names"] = [b"dense/kernel:0"]
        weights["dense"].attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        weights["dense/dense/bias:0"] = np.zeros(3, np.float32)
        outside(weights["dense/dense"])


def links(group: h5py.Group) -> None:
    group["kernel:0"] = h5py.ExternalLink("/etc/hostname", "/kernel")


def stores(group: h5py.Group) -> None:
    group.create_dataset("kernel:0", (4, 3), np.float32, external=[("/etc/hostname", 0, 48)])


def maps(group: h5py.Group) -> None:
    layout = h5py.VirtualLayout((4, 3), np.float32)
    layout[:] = h5py.VirtualSource("/etc/hostname", "kernel", (4, 3))
    group.create_virtual_dataset("kernel:0", layout)


def h5_outside(outside: Callable[[h5py.Group], object]) -> Callable[[Path, str], object]:
    return lambda place, _: h5_file(place / "bad.h5", outside)


def h5_before_an_archive(place: Path, _: str) -> None:
    """HDF5 whose weights are outside, with a harmless `.keras` archive behind it: Keras reads the former."""
    h5_file(place / "bad.h5", links)
    with (place / "bad.h5").open("ab") as file:
        file.write((place / "digits.keras").read_bytes())


def keras_outside(place: Path, _: str) -> None:
    """The embedded example, whose weights are in the file that the archive's weights name."""
    with h5py.File(place / "weights.h5", "w") as file:
        stores(file)
    changed(place, "model.weights.h5", (place / "weights.h5").read_bytes())
    (place / "weights.h5").unlink()


def onnx_outside(location: Callable[[Path, str], str]) -> Callable[[Path, str], None]:
    """A model whose weights are in another file."""

    def make(place: Path, address: str) -> None:
        weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3])
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=location(place, address))
        ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, n]) for name, n in (("x", 4), ("y", 3))]
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ports[:1], ports[1:], [weight])
        (place / "bad.onnx").write_bytes(helper.make_model(graph).SerializeToString())

    return make


def through_a_link(place: Path, _: str) -> str:
    (place / "w.bin").symlink_to("/etc/hostname")
    return "w.bin"


def graph_model(change: Callable[[dict, str], object]) -> Callable[[Path, str], None]:
    """A converted variant of the embedded example, changed."""

    def make(place: Path, address: str) -> None:
        (artifact,) = (place / "digits.study" / "variants" / "tfjs-uint8").glob("*/artifact")
        shutil.copytree(artifact, place / "bad")
        document = json.loads((place / "bad" / "model.json").read_text())
        change(document, address)
        (place / "bad" / "model.json").write_text(json.dumps(document))

    return make


def runs(op: str, path: str = "victim") -> Callable[[dict, str], None]:
    """The output depends on an op that is given the path of a file."""

    def change(document: dict, _: str) -> None:
        nodes, (output,) = document["modelTopology"]["node"], document["signature"]["outputs"].values()
        text = {"dtype": "DT_STRING", "tensorShape": {}, "stringVal": [base64.b64encode(path.encode()).decode()]}
        where = {"name": "where", "op": "Const", "attr": {"dtype": {"type": "DT_STRING"}, "value": {"tensor": text}}}
        next(node for node in nodes if node["name"] == output["name"].split(":")[0])["input"].append("^acts")
        nodes += [where, {"name": "acts", "op": op, "input": ["where", "where"]}]

    return change


def calls_python(document: dict, _: str) -> None:
    """The output depends on a function of Python that nobody has."""
    nodes, (output,) = document["modelTopology"]["node"], document["signature"]["outputs"].values()
    next(node for node in nodes if node["name"] == output["name"].split(":")[0])["input"].append("^acts")
    types = {"Tin": {"list": {}}, "Tout": {"list": {"type": ["DT_FLOAT"]}}, "token": {"s": "bm9uZQ=="}}
    nodes.append({"name": "acts", "op": "PyFunc", "attr": types})


def lists_many(document: dict, _: str) -> None:
    group = document["weightsManifest"][0]
    group["paths"] = group["paths"] * 200_000


def lists_an_address(document: dict, address: str) -> None:
    document["weightsManifest"][0]["paths"] = [f"http://{address}/shard.bin"]


def flatbuffer(place: Path, _: str) -> None:
    """Its root table lies outside."""
    good = bytearray((JS / "two_ports.tflite").read_bytes())
    good[:4] = (2**31 - 8).to_bytes(4, "little")
    (place / "bad.tflite").write_bytes(good)


def acts(name: str, op: str, command: str = ANALYZE_MODEL) -> Case:
    message = f"the SavedModel 'bad' runs the op '{op}', {DOES_MORE}; {TRUSTED}"
    return Case(command.format("bad"), message, acts=name)


def acting_graph(op: str) -> Case:
    message = f"'bad' runs the op '{op}', {DOES_MORE}; {TRUSTED}"
    return Case(f"{GIVEN} own=bad", message, graph_model(runs(op)), row=True)


CASES = {
    "Keras 2 with a function that writes": Case(
        ANALYZE_MODEL.format("bad.h5"),
        "the TFOpLambda layer 'tf.math.add' of 'bad.h5' calls 'tf.io.write_file', which is not on the list of "
        "mathematics; if you trust the file, allow it with --unsafe",
        acts="writes.h5",
    ),
    "Keras with a Lambda": Case(
        CONVERT_MODEL.format("bad.keras"),
        "the Lambda layer 'odd' of 'bad.keras' contains Python code that runs when the model is opened; "
        "if you trust the file, allow it with --unsafe",
        with_lambda,
    ),
    "SavedModel that writes": acts("writes", "WriteFile"),
    "SavedModel that writes, converted": acts("writes", "WriteFile", CONVERT_MODEL),
    "SavedModel that reads": acts("reads", "ReadFile", CONVERT_MODEL),
    "SavedModel that calls Python": acts("calls", "PyFunc", CONVERT_MODEL),
    "graph-model that writes": acting_graph("WriteFile"),
    "graph-model that reads": acting_graph("ReadFile"),
    "graph-model that calls Python": acting_graph("PyFunc"),
    "Keras bomb": Case(
        ANALYZE_MODEL.format("bad.keras"),
        "'bad.keras' has 1.0 MB and would unpack to 1,000 MB, 1,000 MB of it in one description of layers; no Keras "
        "writes such a file, so save it again",
        keras_bomb,
    ),
    "npz bomb": Case(
        "analyze digits.keras --data bad.npz --out digits.study",
        "'bad.npz' holds 2,000,000 samples but 1,197 labels; give one label per sample",
        npz_bomb("x"),
    ),
    "npz bomb of labels": Case(
        "analyze digits.keras --data bad.npz --out digits.study",
        "'bad.npz' cannot be read (the array 'y' would take 1,024 MB of memory, many times its part of the file); "
        "it is truncated or does not hold plain arrays, so write it again with numpy.savez",
        npz_bomb("y"),
    ),
    "h5 with an external link": Case(
        ANALYZE_MODEL.format("bad.h5"),
        f"'bad.h5' links to '/etc/hostname' at '/model_weights/dense/dense/kernel:0', {OWN_ALONE}",
        h5_outside(links),
    ),
    "h5 before an archive": Case(
        ANALYZE_MODEL.format("bad.h5"),
        f"'bad.h5' links to '/etc/hostname' at '/model_weights/dense/dense/kernel:0', {OWN_ALONE}",
        h5_before_an_archive,
    ),
    "h5 with external storage": Case(
        CONVERT_MODEL.format("bad.h5"),
        f"'bad.h5' stores values in '/etc/hostname' at '/model_weights/dense/dense/kernel:0', {OWN_ALONE}",
        h5_outside(stores),
    ),
    "h5 with a virtual dataset": Case(
        CONVERT_MODEL.format("bad.h5"),
        f"'bad.h5' takes values from '/etc/hostname' at '/model_weights/dense/dense/kernel:0', {OWN_ALONE}",
        h5_outside(maps),
    ),
    "Keras with external storage": Case(
        ANALYZE_MODEL.format("bad.keras"),
        f"'bad.keras' stores values in '/etc/hostname' at 'model.weights.h5/kernel:0', {OWN_ALONE}",
        keras_outside,
    ),
    "ONNX through a link": Case(
        CONVERT_MODEL.format("bad.onnx"),
        f"'bad.onnx' refers to weights in 'w.bin', {OUTSIDE}",
        onnx_outside(through_a_link),
    ),
    "ONNX by two dots": Case(
        ANALYZE_MODEL.format("bad.onnx"),
        f"'bad.onnx' refers to weights in '../w.bin', {OUTSIDE}",
        onnx_outside(lambda *_: "../w.bin"),
    ),
    "ONNX by an address": Case(
        ANALYZE_MODEL.format("bad.onnx"),
        "'bad.onnx' stores weights in 'w.bin', which is missing in its folder; copy that file there too",
        onnx_outside(lambda _, address: f"http://{address}/w.bin"),
    ),
    "tfjs with 200,000 paths": Case(
        f"{GIVEN} own=bad",
        "the manifest of 'FOLDER/bad' lists the shard 'group1-shard1of1.bin' more than once, and the weights would "
        "take as many times its size; convert the model again",
        graph_model(lists_many),
        row=True,
    ),
    "tfjs with an address": Case(
        f"{GIVEN} own=bad",
        "the shard 'http://ADDRESS/shard.bin' is missing in 'FOLDER/bad'; copy it there or convert the model again",
        graph_model(lists_an_address),
        row=True,
    ),
    "flatbuffer with offsets outside": Case(
        f"{GIVEN} own=bad.tflite",
        "'FOLDER/bad.tflite' is not a complete TFLite file; if it was truncated, copy it again",
        flatbuffer,
        row=True,
    ),
}


def outside_studies(folder: Path) -> dict[str, str]:
    """The hash of every file below a folder that is in no study."""
    return {path: sha256 for path, sha256 in snapshot(folder).items() if ".study" not in Path(path).parts[0]}


def check_row(done: Done, place: Path, message: str) -> None:
    """It costs its own row: the others are measured, and statuses are those of a row that could not be."""
    assert done.status == 2
    study = read_study(place / "digits.study")
    (failed,) = study.failed
    assert (failed.setting, failed.failure.reason) == ("own", message)
    assert {trial.setting for trial in study.trials} - {"own"} == {"tfjs-float32", "tfjs-uint8"}
    gate = ("gate", "digits.study", "--max-accuracy-loss", "50pt")
    assert quantlab_in_process(*gate, cwd=place).status == 0  # one setting that fits is enough
    assert quantlab_in_process(*gate, "--setting", "own", cwd=place).status == 1


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file(name, acting, usual_bytes, listener, place, private):
    case, address = CASES[name], "{}:{}".format(*listener.getsockname())
    if case.acts is not None:
        source = acting / case.acts
        (shutil.copytree if source.is_dir() else shutil.copy)(source, place / f"bad{source.suffix}")
    case.make(place, address)
    allowed = 4 * sum(size_of(path) for path in place.glob("bad*")) + ALLOWED_BYTES
    before = {root: outside_studies(root) for root in (acting, private, place)}
    peaks = Peaks()
    with peaks.watched():
        done = quantlab_in_process(*case.command.split(), cwd=place, env={"TMPDIR": str(private)})
    message = case.message.replace("ADDRESS", address).replace("FOLDER", str(place))
    if case.row:
        check_row(done, place, message)
    else:
        refused(done, message)
    assert {root: outside_studies(root) for root in before} == before
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert peaks.own < allowed
    assert peaks.children < usual_bytes + allowed


def test_graph_models_that_are_trusted(place):
    """Python runs their ops, also where tensors inside are read; TensorFlow.js has no such op."""
    graph_model(runs("WriteFile", str(place / "victim")))(place, "")
    (place / "bad").rename(place / "writes")
    graph_model(calls_python)(place, "")
    command = "analyze digits.keras --data digits.npz --settings tfjs-uint8 --runtimes python,node-wasm --no-costs"
    given = ("--variant", "writes=writes", "--variant", "calls=bad")
    done = quantlab_in_process(*command.split(), "--layer-samples", "10", "--unsafe", *given, cwd=place)
    assert done.status == 2
    rows = {(trial.setting, trial.runtime): trial for trial in read_study(place / "digits.study").trials}
    assert rows["writes", "python"].scores == rows["tfjs-uint8", "python"].scores
    assert (place / "victim").read_text() == str(place / "victim")
    layers = [row for row in Store(place / "digits.study").read_inside().layers if row.setting == "writes"]
    assert {row.runtime for row in layers if row.sqnr_db is not None} == {"python"}
    assert "Could not find callback" in rows["calls", "python"].failure.reason
    assert "Unknown op 'PyFunc'" in rows["calls", "node-wasm"].failure.reason
