"""A study and a loop over the official tools have the same number of right answers on the same samples.

Run as a program, it answers requests with that loop: it makes the artifacts as a user of TensorFlow and tensorflowjs
would, and runs them without quantlab. oneDNN is off, because otherwise tensorflowjs refuses the optimized graph.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from contracts import evaluate_graph
from kept import make_in_fork
from real_models import FILES

from quantlab.processes import serve

pytestmark = pytest.mark.starts_children

TFJS = {
    "tfjs-float32": [],
    **{f"tfjs-{scheme}": [f"--quantize_{scheme}=*"] for scheme in ("float16", "uint8", "uint16")},
}
TFLITE = ["tflite-float32", "tflite-float16", "tflite-dynamic", "tflite-int8", "tflite-int16x8"]


@pytest.mark.parametrize(
    ("name", "limit", "flatbuffers"),
    [
        pytest.param("fashion", 500, TFLITE, id="Fashion-MNIST"),
        # TensorFlow takes four seconds for each TFLite file of it.
        pytest.param("kws", 500, ["tflite-float32", "tflite-int8"], id="keyword spotting"),
    ],
)
def test_as_many_right_answers(name, limit, flatbuffers, data_folder, begun, tmp_path):
    import quantlab

    model, data = FILES[name]
    options = quantlab.AnalyzeOptions(
        settings=(*TFJS, *flatbuffers),
        runtimes=("python",),
        limit=limit,
        out=begun(name, tmp_path / "study"),
        layers=False,
        costs=False,
    )
    study = quantlab.analyze(data_folder / model, data=str(data_folder / data), options=options)
    # Samples that equal calibration samples are not scored: two of the keywords.
    assert (study.samples.n, study.calibration.n) == ({"kws": 498}.get(name, limit), 256)
    (port,) = [spec.name for spec in study.samples.inputs]
    job = {
        "model": str(data_folder / model),
        "samples": str(study.samples.input_file(port)),
        "labels": str(study.samples.labels_file),
        "calibration": str(study.calibration.input_file(port)),
        "work": str(tmp_path / "official"),
        "flatbuffers": list(flatbuffers),
    }
    ours = {
        trial.setting: round(trial.scores.top1 * study.samples.n / 100, 6) for trial in (study.reference, *study.trials)
    }
    assert ours == official(job, tmp_path)


def official(job, folder):
    make_in_fork("test_official_tools", job, folder / "official.log", onednn=False)
    return json.loads(Path(job["work"], "right.json").read_text())


def loop(job):
    """How many samples each setting, and the model itself, has right."""
    work = Path(job["work"])
    work.mkdir()
    samples, labels, calibration = (np.load(job[key]) for key in ("samples", "labels", "calibration"))
    answers = {"reference": ask_model(job["model"], samples)}
    saved_model = export(job["model"], work / "saved_model")
    answers |= {name: ask_graph(saved_model, work / name, flags, samples) for name, flags in TFJS.items()}
    answers |= {name: ask_interpreter(lite(saved_model, name, calibration), samples) for name in job["flatbuffers"]}
    right = {name: int((rows.argmax(axis=1) == labels).sum()) for name, rows in answers.items()}
    (work / "right.json").write_text(json.dumps(right))


def ask_model(path, samples):
    if Path(path).is_dir():
        import tf_keras

        return tf_keras.models.load_model(path, compile=False).predict(samples, verbose=0)
    import keras

    return keras.models.load_model(path, compile=False).predict(samples, verbose=0)


def export(path, folder):
    """A SavedModel of the model, which may be one already."""
    if Path(path).is_dir():
        return path
    import keras

    keras.models.load_model(path, compile=False).export(str(folder), verbose=False)
    return str(folder)


def ask_graph(saved_model, folder, flags, samples):
    from tensorflowjs.converters.converter import convert

    convert(["--input_format=tf_saved_model", *flags, saved_model, str(folder)])
    return evaluate_graph(folder, samples, ["Identity"])[0]


def lite(saved_model, name, calibration):
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    if name != "tflite-float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if name == "tflite-float16":
        converter.target_spec.supported_types = [tf.float16]
    if name in {"tflite-int8", "tflite-int16x8"}:
        converter.representative_dataset = lambda: ([sample[np.newaxis]] for sample in calibration)
    if name == "tflite-int16x8":
        ops = tf.lite.OpsSet
        converter.target_spec.supported_ops = [
            ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
            ops.TFLITE_BUILTINS,
        ]
    return converter.convert()


def ask_interpreter(content, samples):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for sample in samples:
        interpreter.set_tensor(taken["index"], sample[np.newaxis])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(given["index"])[0])
    return np.array(rows)


if __name__ == "__main__":
    serve(lambda job, _: loop(job))
