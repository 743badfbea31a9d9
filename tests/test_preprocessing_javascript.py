"""The arithmetic in JavaScript equals that in Python to the last bit."""

import base64
import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from quantlab.preprocessing import DECODERS, RESIZERS, in_colours, tensor_of
from quantlab.runtimes.node import find_node
from quantlab.types import Pipeline

JS = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js"
SIZES = [((37, 53), (24, 31)), ((20, 30), (40, 60)), ((100, 80), (50, 40)), ((7, 9), (33, 20)), ((90, 31), (7, 30))]
PLAIN = Pipeline(
    decoder="pillow",
    colour="rgb",
    central_crop=1.0,
    size=(24, 31),
    resize="bilinear",
    resizer="pillow",
    aspect="stretch",
    shorter_side=None,
    pad_value=0.0,
    scale=(1 / 127.5,),
    offset=(-1.0,),
    layout="channels-last",
    dtype="float32",
)
_SCRIPT = """
import { preprocess } from 'MODULE';
import fs from 'node:fs';
const cases = JSON.parse(fs.readFileSync(0, 'utf8'));
const made = cases.map(({ image, pipeline }) => {
  const { data, shape } = preprocess({ ...image, data: new Uint8Array(Buffer.from(image.data, 'base64')) }, pipeline);
  return { shape, data: Buffer.from(data.buffer).toString('base64') };
});
process.stdout.write(JSON.stringify(made));
"""


def pixels(size, channels=3):
    return np.random.default_rng(1).integers(0, 256, (*size, channels), dtype=np.uint8)


def changed(**fields):
    return Pipeline(**{**{name: getattr(PLAIN, name) for name in Pipeline.__slots__}, **fields})


CASES = {
    f"{name} {method} {size}→{wanted}": (pixels(size), changed(resizer=name, resize=method, size=wanted))
    for name, resizer in RESIZERS.items()
    for method in resizer.methods
    for size, wanted in SIZES
} | {
    "grey": (pixels((40, 30), 1), changed(colour="grey")),
    "grey, no channels": (pixels((40, 30), 1), changed(colour="grey", layout="no-channels")),
    "blue first, for each channel": (
        pixels((40, 30)),
        changed(colour="bgr", scale=(0.3, 0.5, 0.7), offset=(-1.0, 2.0, 0.1), layout="channels-first"),
    ),
    "crop, wide": (pixels((30, 91)), changed(aspect="crop", size=(24, 24), shorter_side=28)),
    "crop, tall": (pixels((91, 30)), changed(aspect="crop", size=(24, 24), shorter_side=27)),
    "crop that covers": (pixels((91, 30)), changed(aspect="crop", size=(24, 31))),
    "crop that covers, wide": (pixels((30, 91)), changed(aspect="crop", size=(31, 24))),
    "pad, wide": (pixels((30, 91)), changed(aspect="pad", pad_value=114.0)),
    "pad, tall": (pixels((91, 30)), changed(aspect="pad", resizer="tf", pad_value=7.0)),
    "central crop": (pixels((91, 30)), changed(central_crop=0.875, resizer="tfjs")),
    **{
        f"grey of {name}": (pixels((60, 50)), changed(colour="grey", decoder=name, resize="none", size=(60, 50)))
        for name in DECODERS
    },
    "no resize": (pixels((24, 31)), changed(resize="none")),
    "integers": (pixels((24, 31)), changed(scale=(1.0,), offset=(-128.0,), dtype="int8")),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    script = tmp_path_factory.mktemp("node") / "run.mjs"
    script.write_text(_SCRIPT.replace("MODULE", (JS / "preprocessing.mjs").as_uri()))
    cases = [
        {
            "image": {
                "data": base64.b64encode(image.tobytes()).decode(),
                "height": image.shape[0],
                "width": image.shape[1],
                "channels": image.shape[2],
            },
            "pipeline": asdict(pipeline),
        }
        for image, pipeline in CASES.values()
    ]
    program, _ = find_node()
    done = subprocess.run([program, str(script)], input=json.dumps(cases), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


@pytest.mark.starts_children
@pytest.mark.parametrize("case", CASES)
def test_equals_python(case, made):
    image, pipeline = CASES[case]
    expected = tensor_of(pipeline, in_colours(pipeline, image) if image.shape[2] == 3 else image)
    dtype = np.dtype(pipeline.dtype)
    tensor = np.frombuffer(base64.b64decode(made[case]["data"]), dtype).reshape(made[case]["shape"])
    assert tensor.shape == expected.shape
    np.testing.assert_array_equal(tensor, expected.astype(dtype))
