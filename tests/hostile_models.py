"""Models with side effects: they write or read a file, or call Python, when they are opened or called."""

import json
import shutil
from pathlib import Path
from typing import Any

from quantlab.processes import Document, Emit, serve

WRITES, READS, CALLS, FINE = "writes", "reads", "calls", "fine"


def saved_model(folder: Path, kind: str, target: Path) -> None:
    """A SavedModel whose signature acts; with variables, so that it holds savers too, as every SavedModel does."""
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(tf.ones([4, 2]))

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
        def call(self, x: Any) -> dict[str, Any]:
            y = x @ self.weight
            if kind == WRITES:
                tf.io.write_file(str(target), tf.strings.as_string(tf.reduce_sum(y)))
            if kind == READS:
                y = y + tf.cast(tf.strings.length(tf.io.read_file(str(target))), tf.float32)
            if kind == CALLS:
                y = tf.reshape(tf.numpy_function(lambda values: values * 2, [y], tf.float32), tf.shape(y))
            return {"y": y}

    model = Model()
    tf.saved_model.save(model, str(folder), signatures=model.call.get_concrete_function())


def hide(source: Path, folder: Path) -> None:
    """The same SavedModel with a node that does nothing for each function, by the function's name."""
    from tensorflow.core.protobuf import saved_model_pb2

    shutil.copytree(source, folder)
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((folder / "saved_model.pb").read_bytes())
    for graph in model.meta_graphs:
        for function in graph.graph_def.library.function:
            graph.graph_def.node.add(name=function.signature.name, op="NoOp")
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())


def initializes(folder: Path, target: Path) -> None:
    """A SavedModel that writes when it is loaded: where its table is made."""
    import tensorflow as tf

    (target.parent / "words.txt").write_text("a\nb\n")

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            source = tf.lookup.TextFileInitializer(
                str(target.parent / "words.txt"), tf.string, 0, tf.int64, 1, delimiter=" "
            )
            del source
            names = tf.lookup.TextFileInitializer(
                str(target.parent / "words.txt"),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            self.table = tf.lookup.StaticHashTable(names, -1)

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
        def call(self, x: Any) -> dict[str, Any]:
            return {"y": x + tf.cast(self.table.lookup(tf.constant("a")), tf.float32)}

    model = Model()
    tf.saved_model.save(model, str(folder), signatures=model.call.get_concrete_function())


def keras_file(path: Path, function: str, keywords: dict[str, Any]) -> None:
    """A Keras 2 file whose operation layer names another function than it was saved with."""
    import h5py
    import tensorflow as tf
    import tf_keras

    x = tf_keras.Input((4,), name="x")
    tf_keras.Model(x, tf.math.add(x, 1.0)).save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layer = next(entry for entry in config["config"]["layers"] if entry["class_name"] == "TFOpLambda")
        layer["config"]["function"] = function
        for node in layer["inbound_nodes"]:
            node[3].clear()
            node[3].update(keywords)
        file.attrs["model_config"] = json.dumps(config)


def _make(request: Document, _: Emit) -> None:
    folder = Path(request["folder"])
    target = folder / "victim"
    for kind in (WRITES, READS, CALLS, FINE):
        saved_model(folder / kind, kind, target)
    hide(folder / WRITES, folder / "hides")
    initializes(folder / "initializes", target)
    keras_file(folder / "writes.h5", "io.write_file", {"contents": "owned"})
    keras_file(folder / "fine.h5", "math.multiply", {"y": 2.0})


if __name__ == "__main__":
    serve(_make)
