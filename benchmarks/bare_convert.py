"""Conversions for `study_floor.py` by the official functions: `bare_convert.py MODEL CALIBRATION.npy OUT`."""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflowjs.converters import tf_saved_model_conversion_v2 as tfjs

model_path, calibration, out = Path(sys.argv[1]), np.load(sys.argv[2], mmap_mode="r"), Path(sys.argv[3])
model = keras.saving.load_model(model_path, compile=False)
out.mkdir(parents=True)
saved_model = str(out / "saved_model")
model.export(saved_model, verbose=False)
for scheme in ("float32", "float16", "uint8", "uint16"):
    quantized = None if scheme == "float32" else {scheme: True}
    tfjs.convert_tf_saved_model(saved_model, str(out / f"tfjs-{scheme}"), quantization_dtype_map=quantized)

archive = keras.export.ExportArchive()
archive.track(model)
spec = [tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name=tensor.name) for tensor in model.inputs]
archive.add_endpoint("serve", model.__call__, input_signature=spec)
archive.write_out(str(out / "batch-1"), verbose=False)
for scheme in ("float32", "float16", "dynamic", "int8"):
    converter = tf.lite.TFLiteConverter.from_saved_model(str(out / "batch-1"))
    if scheme != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if scheme == "int8":
        converter.representative_dataset = lambda: ([calibration[i : i + 1]] for i in range(len(calibration)))
    (out / f"tflite-{scheme}.tflite").write_bytes(converter.convert())
