"""Which tensors are compared, and the reasons for others: names, channels, infinities, loops, shapes."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from study_fixtures import a_variant

from quantlab.cli import run
from quantlab.demo import LOADER, MODEL
from quantlab.errors import TrialError
from quantlab.processes import Lane
from quantlab.runtimes.taps import Reading
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, analyze
from quantlab.study.inside.batches import Batches
from quantlab.study.inside.choice import TapChoice
from quantlab.study.inside.sums import KnownTensors, TrialSums
from quantlab.types import Alignment, TapSpec, Trial

pytestmark = pytest.mark.starts_children

SAMPLES = 24


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A study of two variants whose layers were not looked at: what a test asks for costs it nothing more."""
    folder = tmp_path_factory.mktemp("choice") / "digits.study"
    asked = AnalyzeOptions(
        settings=("tfjs-float32", "tfjs-uint8", "tflite-float32", "tflite-dynamic"),
        runtimes=("python",),
        limit=60,
        layers=False,
        costs=False,
        layer_samples=SAMPLES,
        out=folder,
    )
    analyze(MODEL, data=LOADER, options=asked)
    return replace(asked, layers=True)


def inside(options):
    analyze(MODEL, data=LOADER, options=options)
    return Store(options.out).read_inside()


def test_taps_by_name(digits):
    tapped = inside(replace(digits, taps=("stem*", "probabilities")))
    assert {row.layer for row in tapped.layers} == {"stem", "stem_norm", "stem_relu6", "probabilities"}
    assert {row.setting for row in tapped.layers if row.aligned} == set(digits.settings)
    whole = {(row.setting, row.tensor, row.baseline): row for row in inside(digits).layers}
    for row in tapped.layers:
        if row.aligned:
            assert row.max_abs == whole[row.setting, row.tensor, row.baseline].max_abs


def test_each_channel_is_a_tensor_by_itself(digits):
    by_channel = inside(replace(digits, channels=("probabilities",)))
    rows = [
        row
        for row in by_channel.layers
        if (row.layer, row.setting, row.baseline, row.op) == ("probabilities", "tfjs-uint8", "reference", "Softmax")
    ]
    (whole,) = (row for row in rows if row.channel is None)
    channels = [row for row in rows if row.channel is not None]
    assert [row.channel for row in channels] == list(range(10))
    assert sum(row.count for row in channels) == whole.count == SAMPLES * 10
    assert sum(row.different for row in channels) == whole.different
    assert max(row.max_abs for row in channels) == whole.max_abs
    assert sum(row.mean_abs * row.count for row in channels) / whole.count == pytest.approx(whole.mean_abs)


def test_growth_is_the_step_from_the_tensor_before(digits):
    rows = [row for row in inside(digits).layers if row.setting == "tfjs-uint8" and row.baseline == "reference"]
    aligned = [row for row in rows if row.aligned]
    assert aligned[0].relative_rms_growth == aligned[0].relative_rms
    assert sum(row.relative_rms_growth for row in aligned) == pytest.approx(aligned[-1].relative_rms)


def test_a_tap_that_there_is_not(digits, capsys):
    asked = [
        "--settings",
        "tfjs-float32",
        "--runtimes",
        "python",
        "--limit",
        "60",
        "--out",
        str(digits.out),
        "--no-costs",
    ]
    assert run(["analyze", str(MODEL), "--data", LOADER, *asked, "--taps", "stem,probabilites"]) == 2
    assert capsys.readouterr().err.endswith(
        "quantlab: there is no tap 'probabilites', neither a layer nor a tensor of the model or of a variant; "
        "did you mean 'probabilities'?\n"
    )
    assert run(["show", str(digits.out)]) == 0


def test_what_an_earlier_call_found_is_not_shown_as_if_it_were_of_this_one(digits, capsys):
    inside(digits)
    analyze(MODEL, data=LOADER, options=replace(digits, layers=False))
    assert run(["show", "layers", str(digits.out)]) == 2
    assert "run 'quantlab analyze' again without --no-layers" in capsys.readouterr().err


def test_rows_of_another_batch_size_are_not_taken_for_those_that_are_asked_for(digits):
    """Kernels sum in another order, and a batch of one sample aligns tensors by that sample alone."""
    one_tap = replace(digits, taps=("probabilities",))
    kept = []
    for options in (one_tap, one_tap, replace(one_tap, batch_size=1)):
        inside(options)
        kept.append(set((digits.out / "inside" / "tfjs-uint8" / "python").iterdir()))
    assert kept[0] == kept[1]
    assert len(kept[2] - kept[1]) == 1


# Models whose inside is not plain


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A SavedModel whose mask no float16 holds, one with a loop, and samples for both."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("odd")
    random = np.random.default_rng(0)
    np.save(folder / "x.npy", random.normal(size=(64, 12)).astype(np.float32))
    kernel = tf.Variable((0.2 * random.normal(size=(12, 12))).astype(np.float32))
    mask = tf.Variable(np.float32([[-1e9, 0] * 6]))
    signature = [tf.TensorSpec((None, 12), tf.float32, name="x")]

    class Masked(tf.Module):
        @tf.function(input_signature=signature)
        def __call__(self, x):
            with tf.name_scope("masked"):
                scores = tf.matmul(x, kernel) + mask
            with tf.name_scope("attend"):
                return {"p": tf.nn.softmax(scores)}

    class Looped(tf.Module):
        @tf.function(input_signature=signature)
        def __call__(self, x):
            with tf.name_scope("first"):
                x = tf.nn.relu(tf.matmul(x, kernel))
            _, x = tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, tf.tanh(tf.matmul(x, kernel))), [0, x])
            with tf.name_scope("last"):
                return {"p": tf.nn.softmax(tf.matmul(x, kernel))}

    for name, module in (("masked", Masked()), ("looped", Looped())):
        module.kept = (kernel, mask)
        tf.saved_model.save(module, str(folder / name), signatures=module.__call__)
    return folder


def test_a_mask_that_float16_cannot_hold_is_named(odd, capsys):
    """−1e9 becomes −∞: the weight that does, and the first layer that holds infinities."""
    study = odd / "masked.study"
    asked = ["--settings", "tfjs-float16", "--runtimes", "python", "--no-costs", "--out", str(study)]
    assert run(["analyze", str(odd / "masked"), "--data", str(odd / "x.npy"), *asked]) == 0
    note = "weight 'StatefulPartitionedCall/masked/add/ReadVariableOp' holds 6 values that are not finite in float16"
    assert note in " ".join(capsys.readouterr().out.split())
    assert run(["show", "layers", str(study), "--setting", "tfjs-float16"]) == 0
    assert f"First tensor with NaN or infinity: masked (AddV2), {48 * 6} values" in capsys.readouterr().out
    (weight,) = (row for row in Store(study).read_inside().weights if row.setting == "tfjs-float16" and row.non_finite)
    assert (weight.tensor, weight.non_finite) == ("StatefulPartitionedCall/masked/add/ReadVariableOp", 6)


def test_a_loop_is_said_and_the_rest_goes_on(odd, capsys):
    study = odd / "looped.study"
    asked = ["--settings", "tfjs-float16,tflite-float32", "--runtimes", "python", "--no-costs", "--out", str(study)]
    assert run(["analyze", str(odd / "looped"), "--data", str(odd / "x.npy"), *asked]) == 0
    record = Store(study).read_inside()
    for setting, ops in {
        "tfjs-float16": {"MatMul", "Relu", "Softmax", "Identity"},
        "tflite-float32": {"FULLY_CONNECTED", "SOFTMAX"},
    }.items():
        rows = [row for row in record.layers if row.setting == setting and row.baseline == "reference"]
        assert {row.op for row in rows if row.aligned} == ops
        assert {row.layer for row in rows if row.aligned} == {"first", "last"}
        assert all(row.reason for row in rows if not row.aligned)
    reasons = {row.reason for row in record.layers if row.setting == "tfjs-float16" and row.op == "Tanh"}
    assert reasons == {"inside a loop or branch, where tensors cannot be read"}
    (note,) = record.notes
    assert note == (
        "no isolated errors of tfjs-float16 in python: the ops of a graph-model cannot be run one by one if it has "
        "loops or conditions"
    )
    capsys.readouterr()
    assert run(["show", "layers", str(study), "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(record.layers)


class Holds:
    """A session that holds the same six numbers in every batch, as its output too, until it dies."""

    lane = None

    def __init__(self, tensor, name="tap", dies_at=None):
        self.tensor, self.name, self.dies_at = tensor, name, dies_at

    def read(self, start, _stop):
        if start == self.dies_at:
            raise TrialError("it is gone")
        return Reading({"out": self.tensor.reshape(2, 3)}, {self.name: self.tensor}, {})


def ones(*shape):
    return np.ones(shape, np.float32)


TAP = TapSpec("tap", (None, 3), "float32", "Conv2D")
KNOWN = KnownTensors((TAP,), {"tap": "tap"}, {"tap": Alignment("tap", "node", "layer")}, TapChoice(None, ()))


def compare(folder, session, *, runtime="python", batches=1, baselines=None, isolated=None):
    """A trial's sums over batches of two samples, beside a reference and a float32 variant that hold ones."""
    np.save(folder / "out.npy", ones(2 * batches, 3))
    variant = a_variant(folder, "tfjs-uint8")
    trial = Trial("tfjs-uint8", runtime, variant, outputs={"out": folder / "out.npy"})
    sums = TrialSums(trial, KNOWN, session, isolated, "out", is_float32=False, has_python_baseline=runtime != "python")
    sessions = {"tfjs-float32": Holds(ones(2, 3)), **(baselines or {})}
    with Batches(
        reference=Holds(ones(2, 3), "node"),
        baselines=sessions,
        trials=[sums],
        float32=["tfjs-float32"],
        scored_output="out",
        indices=np.arange(2 * batches),
    ) as all_of_it:
        for start in range(0, 2 * batches, 2):
            all_of_it.add((start, start + 2))
    return sums


def test_shapes_that_differ_between_runtimes_are_no_tensor_to_compare(tmp_path):
    """As many elements in another order would pass for noise."""
    sums = compare(tmp_path, Holds(ones(2, 3, 1)), runtime="node-wasm", baselines={"tfjs-uint8": Holds(ones(2, 3))})
    (row,) = sums.rows()
    assert row.reason == (
        "its shape is (3, 1) a sample in tfjs-uint8 in node-wasm and (3,) in tfjs-float32 in python, "
        "so they cannot be compared"
    )
    assert (row.aligned, row.count, row.sqnr_db) == (False, 0, None)


def test_a_session_that_dies_half_way_leaves_no_figures(tmp_path):
    """Sums over some of the samples would pass for those of all."""
    sums = compare(tmp_path, Holds(ones(2, 3), dies_at=2), batches=3)
    (row,) = sums.rows()
    assert (row.aligned, row.count) == (False, 0)
    assert row.reason == "could not read inside tfjs-uint8 in python: it is gone"
    assert sums.all_notes() == (row.reason,)


def test_a_float32_variant_that_dies_half_way_leaves_no_figures(tmp_path):
    sums = compare(tmp_path, Holds(ones(2, 3)), batches=2, baselines={"tfjs-float32": Holds(ones(2, 3), dies_at=2)})
    (row,) = sums.rows()
    assert (row.count, row.reason) == (0, "could not read inside tfjs-float32 in python: it is gone")


def test_the_same_artifact_in_python_may_die_alone(tmp_path):
    """The other baselines have seen every sample, and stay."""
    sums = compare(
        tmp_path,
        Holds(ones(2, 3)),
        runtime="node-wasm",
        batches=3,
        baselines={"tfjs-uint8": Holds(2 * ones(2, 3), dies_at=2)},
    )
    assert [(row.baseline, row.count) for row in sums.rows()] == [("reference", 18), ("float32", 18)]
    assert sums.all_notes() == ("could not read inside tfjs-uint8 in python: it is gone",)


def test_every_baseline_of_every_batch_is_summed(tmp_path):
    sums = compare(
        tmp_path,
        Holds(3 * ones(2, 3)),
        runtime="node-wasm",
        batches=3,
        baselines={"tfjs-uint8": Holds(2 * ones(2, 3)), "tfjs-float32": Holds(3 * ones(2, 3))},
    )
    summed = [(row.baseline, row.count, row.different, row.mean_abs) for row in sums.rows()]
    assert summed == [("reference", 18, 18, 2.0), ("float32", 18, 0, 0.0), ("python", 18, 18, 1.0)]


def test_what_a_node_strays_by_itself_is_summed(tmp_path):
    sums = compare(tmp_path, Holds(3 * ones(2, 3)), batches=3, isolated=Holds(1.1 * ones(2, 3)))
    assert [round(row.isolated_sqnr_db, 4) for row in sums.rows()] == [20.0, 20.0]


def test_nodes_by_themselves_may_die_alone(tmp_path):
    sums = compare(tmp_path, Holds(3 * ones(2, 3)), batches=3, isolated=Holds(1.1 * ones(2, 3), dies_at=2))
    assert [(row.count, row.isolated_sqnr_db) for row in sums.rows()] == [(18, None), (18, None)]
    assert sums.notes == ["no isolated errors of tfjs-uint8 in python: it is gone"]


def test_a_trial_and_its_nodes_may_die_at_once(tmp_path):
    isolated = Holds(ones(2, 3), dies_at=2)
    sums = compare(tmp_path, Holds(ones(2, 3), dies_at=2), batches=3, isolated=isolated)
    assert [row.count for row in sums.rows()] == [0]
    assert sums.unreadable == "could not read inside tfjs-uint8 in python: it is gone"


def test_a_reference_that_dies_keeps_nobody_waiting(tmp_path):
    """What is queued behind it is not read any more."""

    class Slow(Holds):
        reads = 0

        def read(self, start, stop):
            self.reads += 1
            time.sleep(0.2)
            return super().read(start, stop)

    np.save(tmp_path / "out.npy", ones(2, 3))
    slow, trial = Slow(ones(2, 3)), Trial("tfjs-uint8", "node-wasm", outputs={"out": tmp_path / "out.npy"})
    trials = [
        TrialSums(trial, KNOWN, slow, None, "out", is_float32=False, has_python_baseline=False) for _ in range(20)
    ]
    dead = Holds(ones(2, 3), dies_at=0)
    dead.lane = Lane("lane 0")
    batches = Batches(
        reference=dead,
        baselines={"tfjs-float32": Holds(ones(2, 3))},
        trials=trials,
        float32=["tfjs-float32"] * len(trials),
        scored_output="out",
        indices=np.arange(2),
    )
    with pytest.raises(TrialError, match=r"^it is gone$"), batches:
        batches.add((0, 2))
    assert slow.reads < len(trials)


def test_a_tapped_run_that_answers_nan_has_strayed_as_far_as_can_be(tmp_path):
    sums = compare(tmp_path, Holds(np.nan * ones(2, 3)))
    assert sums.all_notes() == ("tfjs-uint8 in python answers differently while its tensors are read, by up to inf",)
