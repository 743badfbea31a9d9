"""SavedModels as artifacts: the signature that is served, and the variables as their bytes say them."""

from pathlib import Path

import numpy as np
import pytest
from saved_model_bytes import write_saved_model

from quantlab.errors import ArtifactError
from quantlab.formats import FORMATS
from quantlab.formats.savedmodel.artifact import SERVED, SIGNATURE, signature_of

SAVED = FORMATS["savedmodel"]
PORTS = {"inputs": {"x": ("x:0", (4,))}, "outputs": {"y": ("y:0", (3,)), "a": ("a:0", (2,))}}


def saved(folder: Path, *weights, **more) -> Path:
    return write_saved_model(folder, weights, **{**PORTS, **more})


@pytest.mark.parametrize(
    ("signatures", "noted", "chosen"),
    [
        pytest.param(("scores",), None, "scores", id="the only one"),
        pytest.param(("scores", "serving_default"), None, "serving_default", id="the default one"),
        pytest.param(("scores", "serving_default"), "scores", "scores", id="the one that a converter noted"),
        pytest.param(("__init", "scores"), None, "scores", id="none that TensorFlow added"),
    ],
)
def test_the_signature_that_is_served(signatures, noted, chosen, tmp_path):
    path = saved(tmp_path / SERVED, signatures=signatures)
    if noted is not None:
        (tmp_path / SIGNATURE).write_text(f"{noted}\n")
    name, inputs, outputs = signature_of(path)
    assert (name, SAVED.options(path).signature) == (chosen, chosen)
    assert [(port.name, port.tensor, port.position, port.shape, port.dtype) for port in (*inputs, *outputs)] == [
        ("x", "x:0", 0, (None, 4), "float32"),
        ("a", "a:0", 0, (None, 2), "float32"),
        ("y", "y:0", 1, (None, 3), "float32"),
    ]
    assert (SAVED.recognizes(SAVED.served(tmp_path)), SAVED.recognizes(tmp_path)) == (True, False)


def test_a_users_file_beside_the_folder_does_not_choose(tmp_path):
    path = saved(tmp_path / SERVED, signatures=("scores", "serving_default"))
    (tmp_path / "signature.txt").write_text("scores\n")
    assert signature_of(path)[0] == "serving_default"


def test_variables_are_decoded(tmp_path):
    written = {
        "b/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b/bias": np.float16([0.5, -2]),
        "a/steps": np.int64(2**40),
    }
    path = saved(tmp_path / "m", *((name, np.asarray(values)) for name, values in written.items()))
    weights = list(SAVED.weights(path))
    assert [(one.name, one.dtype, one.shape) for one in weights] == [
        ("a/steps", "int64", ()),
        ("b/bias", "float16", (2,)),
        ("b/kernel", "float32", (2, 3)),
    ]
    for one in weights:
        np.testing.assert_array_equal(one.values, written[one.name])
    assert weights[1].values.dtype == np.float32
    assert SAVED.inspect(path).weights == {"int64": 8, "float16": 4, "float32": 24}


def test_a_model_without_variables(tmp_path):
    path = saved(tmp_path / "m")
    for file in (path / "variables").iterdir():
        file.unlink()
    assert (list(SAVED.weights(path)), SAVED.inspect(path).weights) == ([], {})


def cut_data(path):
    data = path / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])


def overwrite(name, data):
    return lambda path: (path / name).write_bytes(data)


def claim_restarts(count):
    """Give the first block of the index another number of restarts; it has one, at 0."""

    def spoil(path):
        index = path / "variables" / "variables.index"
        index.write_bytes(index.read_bytes().replace(bytes([0, 0, 0, 0, 1, 0, 0, 0]), bytes(4) + count, 1))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(
            claim_restarts(b"\xff\xff\xff\x7f"),
            "'{path}' cannot be read (a block of 65 bytes at byte 0 cannot have 2,147,483,647 restarts); it may be "
            "damaged or of another format, so convert the model again",
            id="more restarts than bytes",
        ),
        pytest.param(
            claim_restarts(b"\x0e\0\0\0"),
            "'{path}' cannot be read (a block of 65 bytes at byte 0 cannot have 14 restarts); it may be damaged or of "
            "another format, so convert the model again",
            id="restarts instead of entries",
        ),
        pytest.param(
            cut_data,
            "the variable 'kernel' ends at byte 24 of '{path}/variables/variables.data-00000-of-00001', which has 23; "
            "copy or export the model again",
            id="variables cut short",
        ),
        pytest.param(
            overwrite("variables/variables.index", b"x" * 100),
            "'{path}/variables/variables.index' does not end as an index of variables does; copy or export the model "
            "again",
            id="another file as index",
        ),
        pytest.param(
            overwrite("saved_model.pb", b"\x12\x7f"),
            "'{path}' cannot be read (a field of 127 bytes at byte 2 goes beyond the end, byte 2); it may be damaged "
            "or of another format, so convert the model again",
            id="a graph cut short",
        ),
        pytest.param(
            overwrite("saved_model.pb", b"\x08\x01"),
            "'{path}' holds no graph with the tag 'serve', which servers load; export it with tf.saved_model.save",
            id="no graph",
        ),
        pytest.param(
            overwrite("saved_model.pb", b"\x0b"),
            "'{path}' cannot be read (byte 1 begins a field of the unknown wire type 3); it may be damaged or of "
            "another format, so convert the model again",
            id="no protobuf",
        ),
    ],
)
def test_what_is_damaged_is_refused(spoil, message, tmp_path):
    path = saved(tmp_path / "m", ("kernel", np.ones((2, 3), np.float32)))
    spoil(path)
    with pytest.raises(ArtifactError) as refused:
        SAVED.inspect(path)
    assert str(refused.value) == message.format(path=path)


def test_signatures_that_do_not_say_which_is_meant(tmp_path):
    path = saved(tmp_path / "m", signatures=("one", "two"))
    with pytest.raises(ArtifactError) as refused:
        SAVED.inspect(path)
    assert str(refused.value) == (
        f"the SavedModel '{path}' has no signature 'serving_default' (it has 'one', 'two'); export it again with one"
    )
