"""Layers of devices stay when `analyze` compares those of this machine again; imported ones are compared anew."""

from dataclasses import replace

import numpy as np
import pytest
from report_fixtures import a_layer
from study_fixtures import a_study, a_trial

from quantlab.study.devices import with_device_layers
from quantlab.types import Inside


def comparison(*rows: tuple[str, float], samples: int = 20) -> Inside:
    """A comparison of one layer, with the runtime and the decibels of each row."""
    layers = tuple(replace(a_layer("tfjs-uint8", "dense", 0, sqnr), runtime=runtime) for runtime, sqnr in rows)
    return Inside(layers, (), (), (), samples, "all")


@pytest.mark.parametrize(
    ("new", "before", "expected"),
    [
        pytest.param(
            comparison(("python", 30.0)),
            comparison(("python", 10.0), ("phone-wasm", 20.0)),
            [("python", 30.0), ("phone-wasm", 20.0)],
            id="the rows of a device stay",
        ),
        pytest.param(
            comparison(("python", 30.0), ("phone-wasm", 40.0)),
            comparison(("phone-wasm", 20.0)),
            [("python", 30.0), ("phone-wasm", 40.0)],
            id="what was compared anew replaces them",
        ),
        pytest.param(
            comparison(("python", 30.0)),
            comparison(("phone-webgl", 20.0)),
            [("python", 30.0)],
            id="those of no row of the study go",
        ),
        pytest.param(
            comparison(("python", 30.0)),
            comparison(("phone-wasm", 20.0), samples=10),
            [("python", 30.0)],
            id="those of other samples go",
        ),
        pytest.param(comparison(("python", 30.0)), None, [("python", 30.0)], id="there was no comparison"),
    ],
)
def test_layers_of_devices(new, before, expected, tmp_path):
    rows = with_device_layers(new, before, with_a_device(tmp_path)).layers
    assert [(row.runtime, row.sqnr_db) for row in rows] == expected


PYTHON_NOTE, DEVICE_NOTE, ALONE = (
    "no isolated errors of tfjs-uint8 in python: lost",
    "could not read inside tfjs-uint8 in phone-wasm: its memory ran out",
    comparison(("python", 30.0)),
)


@pytest.mark.parametrize(
    ("new", "before", "expected"),
    [
        pytest.param(ALONE, (DEVICE_NOTE,), [DEVICE_NOTE], id="the note of a device stays, also without rows"),
        pytest.param(
            replace(ALONE, notes=(PYTHON_NOTE,)), (DEVICE_NOTE,), [PYTHON_NOTE, DEVICE_NOTE], id="beside the new ones"
        ),
        pytest.param(ALONE, (PYTHON_NOTE,), [], id="those of this machine are made anew"),
        pytest.param(ALONE, ("tfjs-uint16 in phone-wasm answers differently",), [], id="those of no row go"),
        pytest.param(
            comparison(("python", 30.0), ("phone-wasm", 40.0)), (DEVICE_NOTE,), [], id="those of a row compared anew go"
        ),
    ],
)
def test_notes_of_devices(new, before, expected, tmp_path):
    earlier = replace(comparison(("python", 10.0)), notes=before)
    assert list(with_device_layers(new, earlier, with_a_device(tmp_path)).notes) == expected


def with_a_device(tmp_path):
    """A study with a row of Python and one of a phone, whose outputs can be read."""
    imported = a_trial(tmp_path, runtime="phone-wasm", imported=True)
    study = a_study(tmp_path, trials=(a_trial(tmp_path), imported))
    for file in [file for row in (study.reference, *study.trials) for file in row.outputs.values()]:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.eye(10, dtype=np.float32))
    return study
