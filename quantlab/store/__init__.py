"""The study folder: results are found by hash and written atomically.

```text
STUDY/
  study.json                                 the record that `show` reads; its schema is `Study`
  model/<key>/                               the opened model's description, and the SavedModel of a Keras file
  samples/                                   the samples fed to every runtime (see quantlab.samples), and layers/<key>/
  variants/<setting>/<key>/artifact/…        the files to be shipped; variant.json is beside this folder
  outputs/<setting>/<runtime>/<key>/         <output>.npy and outputs.json
  outputs/<setting>/<runtime>/<key>.partial/ the same during the run, with progress.json
  shards/                                    results of shards that are not joined yet, and claims of workers
  shards.json                                shards and workers of the study; its schema is `Shards`
  output_figures.json                        figures of every output; its schema is `OutputComparison`
  calibration.json                           ranges of the calibration samples; its schema is `CalibrationCheck`
  imported.json                              outputs of other programs (`quantlab import`); its schema is `Imports`
  looks.json                                 every judgement, with its samples; its schema is `Looks`
  costs.json                                 cost of every trial; its schema is `Costs`
  costs/<setting>/<runtime>/<key>.json       cost of one trial, as measured
  inside.json                                layers, weights and ops of every trial; its schema is `Inside`
  inside/<setting>/<runtime>/<key>.json      layers of one trial
  transfer/<key>.json                        brotli size of one artifact, stored because it is slow to compute
  work/                                      logs and job documents; may be deleted
```

A key is the hash of everything that a result depends on, so a result is reused exactly as long as it is valid. Paths in
records are relative to the study folder, which may be moved. JSON has no NaN or infinity: such floats are written as
the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, as in protobuf's JSON mapping.
"""

from quantlab.store.documents import json_number, key_of, parse_json, read_json, write_json
from quantlab.store.store import SCHEMA, TUNING, Store, find_latest

__all__ = [
    "SCHEMA",
    "TUNING",
    "Store",
    "find_latest",
    "json_number",
    "key_of",
    "parse_json",
    "read_json",
    "write_json",
]
