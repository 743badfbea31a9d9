"""Runs a model on the inputs that `quantlab export inputs` wrote, and writes outputs.npz for `quantlab import`.

Needs Python 3.10, NumPy, and LiteRT (ai-edge-litert) or ONNX Runtime; nothing of quantlab. License: MIT-0.

    python dump.py model.tflite inputs outputs.npz
    python dump.py model.onnx inputs outputs.npz
    python dump.py saved_model inputs outputs.npz      (a SavedModel, with tensorflow)
    python dump.py layer-inputs/layers.tflite layer-inputs layers.npz       (tensors, of `export inputs --layers`)

or with a program of your own:

    inputs = Inputs("inputs")
    outputs = Outputs(inputs, {"app": "1.2.3"})
    for batch in inputs.batches(1):
        outputs.add(batch, {"probabilities": my_app(batch.tensors["image"])})
    outputs.write("outputs.npz")
"""

import hashlib
import json
import platform
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Batch:
    """Consecutive samples: the number of the first one, how many they are, and a tensor for each input."""

    start: int
    count: int
    tensors: dict[str, Any]


class Inputs:
    """The samples: `n` of them, and `manifest` with names, shapes and data types of inputs and outputs."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest: dict[str, Any] = json.loads((self.folder / "inputs.json").read_text(encoding="utf-8"))
        if self.manifest.get("format") != "quantlab inputs 1":
            raise ValueError("inputs.json was not written by quantlab export inputs")
        self.n: int = self.manifest["n"]

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield batches of at most `size` samples, in their order."""
        files = {}
        for about in self.manifest["inputs"]:
            shape = (self.n, *about["shape"])
            files[about["name"]] = np.memmap(self.folder / about["file"], np.dtype(about["dtype"]), "r", shape=shape)
        for start in range(0, self.n, size):
            tensors = {name: np.array(values[start : start + size]) for name, values in files.items()}
            yield Batch(start, min(size, self.n - start), tensors)


class Outputs:
    """Collects outputs, and the checksum of each sample that was fed."""

    def __init__(self, inputs: Inputs, environment: Mapping[str, str] | None = None) -> None:
        self.inputs = inputs
        self.environment = {"python": platform.python_version(), "machine": platform.machine(), **(environment or {})}
        self.crc32: list[int] = []
        self.rows: dict[str, list[Any]] = {}

    def add(self, batch: Batch, outputs: Mapping[str, Any]) -> None:
        """Add the outputs of a batch, by output: arrays with an axis of samples first."""
        if batch.start != len(self.crc32):
            raise ValueError(f"the next sample is {len(self.crc32)}, and {batch.start} was added")
        for sample in range(batch.count):
            value = 0
            for about in self.inputs.manifest["inputs"]:
                value = zlib.crc32(np.ascontiguousarray(batch.tensors[about["name"]][sample]).tobytes(), value)
            self.crc32.append(value)
        for name, values in outputs.items():
            if len(values) != batch.count:
                raise ValueError(f"{len(values)} outputs '{name}' for {batch.count} samples")
            self.rows.setdefault(name, []).append(np.array(values))

    def write(self, path: str | Path) -> None:
        """Write outputs.npz."""
        if len(self.crc32) != self.inputs.n:
            raise ValueError(f"outputs of {len(self.crc32)} of {self.inputs.n} samples were added")
        np.savez(
            path,
            __samples_sha256__=self.inputs.manifest["samples_sha256"],
            __crc32__=np.array(self.crc32, np.uint32),
            __environment__=json.dumps(self.environment),
            **{name: np.concatenate(rows) for name, rows in self.rows.items()},
        )


def run_litert(path: str | Path, inputs: Inputs) -> Outputs:
    """Run a .tflite file sample by sample, as the operators that LiteRT uses by default."""
    import ai_edge_litert
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    about = inputs.manifest
    details = interpreter.get_input_details()
    for feed in about["inputs"]:
        interpreter.resize_tensor_input(details[feed["position"]]["index"], [1, *feed["shape"]])
    interpreter.allocate_tensors()
    results = interpreter.get_output_details()
    outputs = Outputs(inputs, {"ai-edge-litert": getattr(ai_edge_litert, "__version__", "unknown")})
    for batch in inputs.batches(1):
        interpreter.reset_all_variables()  # the state of an LSTM, which is another sample's
        for feed in about["inputs"]:
            interpreter.set_tensor(details[feed["position"]]["index"], batch.tensors[feed["name"]])
        interpreter.invoke()
        given = {port["name"]: interpreter.get_tensor(results[port["position"]]["index"]) for port in about["outputs"]}
        outputs.add(batch, given)
    return outputs


def run_onnx(path: str | Path, inputs: Inputs) -> Outputs:
    """Run an .onnx file sample by sample on one thread of the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Processors without VNNI would else saturate sums of int8 products, which is no property of the file.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    about = inputs.manifest
    outputs = Outputs(inputs, {"onnxruntime": onnxruntime.__version__})
    wanted = [port["tensor"] for port in about["outputs"]]
    for batch in inputs.batches(1):
        feed = {one["tensor"]: batch.tensors[one["name"]] for one in about["inputs"]}
        values = session.run(wanted, feed)
        outputs.add(batch, {port["name"]: value for port, value in zip(about["outputs"], values, strict=True)})
    return outputs


def run_saved_model(path: str | Path, inputs: Inputs) -> Outputs:
    """Run the signature `serving_default` of a SavedModel's folder, in the batches of the study."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    model = tf.saved_model.load(str(path))
    call = model.signatures["serving_default"]
    outputs = Outputs(inputs, {"tensorflow": tf.__version__})
    ports = inputs.manifest["outputs"]
    for batch in inputs.batches(inputs.manifest["batch_size"]):
        feed = {one["tensor"]: tf.constant(batch.tensors[one["name"]]) for one in inputs.manifest["inputs"]}
        values = call(**feed)
        outputs.add(batch, {port["name"]: values[port["tensor"]].numpy() for port in ports})
    return outputs


RUNNERS = {".tflite": run_litert, ".onnx": run_onnx, "": run_saved_model}


def main(arguments: list[str]) -> int:
    """Run the program; return its exit status."""
    if len(arguments) != 3 or Path(arguments[0]).suffix not in RUNNERS:
        print("usage: python dump.py MODEL.tflite|MODEL.onnx|FOLDER INPUTS OUTPUTS.npz", file=sys.stderr)
        return 2
    model, folder, file = arguments
    missing = [path for path in (model, Path(folder, "inputs.json"), Path(file).parent) if not Path(path).exists()]
    if missing:
        print(f"there is no '{missing[0]}'", file=sys.stderr)
        return 2
    try:
        outputs = RUNNERS[Path(model).suffix](model, Inputs(folder))
        if Path(model).is_file():
            outputs.environment["model_sha256"] = hashlib.sha256(Path(model).read_bytes()).hexdigest()
        outputs.write(file)
    except (ImportError, KeyError, OSError, RuntimeError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print(f"wrote {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
