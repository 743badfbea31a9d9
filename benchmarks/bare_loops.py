"""Inference loops in Python: `bare_loops.py MODEL SAMPLES.npy ARTIFACTS`; prints their seconds without the imports."""

import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from quantlab.worker.tfjs_graph import graph_def

BATCH = 32

model_path, samples, artifacts = Path(sys.argv[1]), np.load(sys.argv[2], mmap_mode="r"), Path(sys.argv[3])
began = time.perf_counter()
model = keras.saving.load_model(model_path, compile=False)
call = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
for start in range(0, len(samples), BATCH):
    call(tf.constant(samples[start : start + BATCH])).numpy()
for folder in sorted(artifacts.glob("tfjs-*")):
    graph = graph_def(folder)
    wrapped = tf.compat.v1.wrap_function(lambda graph=graph: tf.graph_util.import_graph_def(graph, name=""), [])
    (feed,) = (node.name for node in graph.node if node.op == "Placeholder")
    run = wrapped.prune(f"{feed}:0", "Identity:0")
    for start in range(0, len(samples), BATCH):
        run(tf.constant(samples[start : start + BATCH])).numpy()
for file in sorted(artifacts.glob("*.tflite")):
    interpreter = Interpreter(str(file), num_threads=1)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    for start in range(len(samples)):
        interpreter.set_tensor(taken, samples[start : start + 1])
        interpreter.invoke()
        interpreter.get_tensor(given)
print(time.perf_counter() - began)
