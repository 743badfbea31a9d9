"""The validator of ai_edge_quantizer on a pair of TFLite files: `bare_validator.py JOB.json`.

Prints milliseconds per sample, the best of several calls. `measures` is `default`, the mean squared difference of each
tensor, or `all`, its five measures.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import model_validator
from ai_edge_quantizer.utils.validation_utils import ValidationErrorMetric

job = json.loads(Path(sys.argv[1]).read_text())
samples = np.load(job["samples"], mmap_mode="r")[: job["count"]]
(signature, names), *_ = Interpreter(job["float32"]).get_signature_list().items()
data = {signature: [{names["inputs"][0]: np.asarray(samples[i : i + 1])} for i in range(len(samples))]}
pair = [Path(job[name]).read_bytes() for name in ("float32", "artifact")]
measures = list(ValidationErrorMetric) if job["measures"] == "all" else None
taken = []
for _ in range(job["rounds"]):
    began = time.perf_counter()
    compared = model_validator.compare_model(*pair, data, error_metrics=measures)
    taken.append(time.perf_counter() - began)
assert compared.get_all_tensor_results()
print(json.dumps(1e3 * min(taken) / len(samples)))
