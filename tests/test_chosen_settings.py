"""The settings of a study with the decisions of a search: one without an artifact of its own is refused."""

import pytest
from command_line import quantlab_in_process

from quantlab.store import Store
from quantlab.study import AnalyzeOptions
from quantlab.study.chosen_settings import settings_for
from quantlab.types import Candidate, TunedFormat, TunedWeights, Tuning


def chose(name, *, fits):
    return TunedFormat((Candidate(name, 100, 300, 0.01, 3, 0.1, 0.5, fits, fits, official=True),), name, setting=name)


DECIDED = Tuning(
    "digits.npz",
    0,
    {
        "tfjs": chose("tfjs-uint8", fits=True),
        "onnx": chose("onnx-int8", fits=False),
        "tflite": TunedFormat((), "tflite-int8 +2", setting="tflite-int8", float_layers=("dense",)),
    },
)
NOTHING_SMALLER = (
    "the file of --tuned holds no tuned artifact of tfjs: the search chose the setting 'tfjs-uint8', and found nothing "
    "smaller that fits; make that with --setting tfjs-uint8, or run 'quantlab tune' with another budget or more minutes"
)
NOTHING_FITS = (
    "the file of --tuned holds no tuned artifact of onnx: the search chose the setting 'onnx-int8', which comes "
    "closest to the budget that nothing keeps; make that with --setting onnx-int8, or run 'quantlab tune' with another "
    "budget or more minutes"
)
OTHER_FORMATS = (
    "the file of --tuned is of a search in onnx, and decides nothing about tfjs; run 'quantlab tune' with settings of "
    "tfjs, and give its tune.json"
)


@pytest.mark.parametrize(
    ("decided", "setting", "said"),
    [
        pytest.param(DECIDED, "tfjs-tuned", NOTHING_SMALLER, id="nothing smaller"),
        pytest.param(DECIDED, "tfjs-uint8, tfjs-tuned", NOTHING_SMALLER, id="among others"),
        pytest.param(DECIDED, "onnx-tuned", NOTHING_FITS, id="nothing fits"),
        pytest.param(Tuning("x", 0, {"onnx": DECIDED.formats["onnx"]}), "tfjs-tuned", OTHER_FORMATS, id="not searched"),
    ],
)
def test_a_tuned_setting_without_an_artifact(decided, setting, said, tmp_path):
    Store(tmp_path).write_tuning(decided)
    asked = ("convert", "no.keras", "--tuned", "tune.json", "--setting", setting, "--out", "made")
    done = quantlab_in_process(*asked, cwd=tmp_path)
    assert (done.status, done.stderr) == (2, f"quantlab: {said}\n")


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        pytest.param(("tflite-tuned",), ["tflite-tuned"], id="by its name"),
        pytest.param(("tfjs-uint8",), ["tfjs-uint8", "tflite-tuned"], id="beside a setting"),
        pytest.param(
            ("tfjs-uint*",), ["tfjs-uint8", "tfjs-uint8-per-channel", "tfjs-uint16", "tflite-tuned"], id="globs"
        ),
    ],
)
def test_what_was_found_is_chosen(asked, names):
    options = AnalyzeOptions(settings=asked, tuned=DECIDED)
    assert sorted(setting.name for setting in settings_for(options, None)) == sorted(names)


def test_weights_are_an_artifact_of_their_own():
    decided = Tuning("digits.npz", 0, {"tfjs": TunedFormat((), "5.10 bits #7", TunedWeights("0" * 64))})
    options = AnalyzeOptions(settings=("tfjs-tuned",), tuned=decided)
    assert [setting.name for setting in settings_for(options, None)] == ["tfjs-tuned"]
