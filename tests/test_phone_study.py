"""Rows of a phone in a study: scored like others, kept, and failed alone; the phone is a client in Python."""

import contextlib
import re
import resource
import socket
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from phone_stand_in import FACTS, FakePhone, obey, small_patience
from study_fixtures import DIGITS, Heard, outputs_of, read_study

from quantlab.errors import QuantlabError, StudyError, UsageError
from quantlab.runtimes import RUNTIMES
from quantlab.runtimes.phone import Phone, PhonePlace, runtimes_on
from quantlab.study.devices import DeviceOptions, DevicePlace, measure_on_device

SETTING, RUNTIME = "tfjs-uint8", "phone-wasm"
ALONE = DeviceOptions(settings=(SETTING,), layers=False, costs=False)


@contextlib.contextmanager
def a_phone(answer, **facts):
    """A place whose phone answers every dispatch by a function of the phone and the dispatch's key."""
    with Phone.open(PhonePlace(), small_patience()) as opened:
        page = FakePhone(opened.server.address("127.0.0.1"))
        assert page.hello(**facts) == 200
        thread = threading.Thread(target=obey, args=(page, answer), daemon=True)
        thread.start()
        device = opened.device
        runtimes = runtimes_on(opened, [RUNTIMES[RUNTIME]])
        yield DevicePlace(runtimes, device.machine, device.text)
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def study(place):
    return place / "digits.study"


def row_of(record, setting=SETTING, runtime=RUNTIME):
    return next(trial for trial in record.trials if (trial.setting, trial.runtime) == (setting, runtime))


def answering(outputs):
    return lambda phone, key: phone.run_batches(key, outputs)


def test_the_outputs_of_python_give_the_scores_of_python(study):
    before = read_study(study)
    outputs = outputs_of(before, SETTING, "python")
    with a_phone(answering(outputs)) as place:
        done = measure_on_device(study, place, ALONE)
    row = row_of(done)
    assert row.scores == row_of(before, runtime="python").scores
    assert (row.max_abs_from_python, row.imported, row.failure, row.ran_on) == (0, True, None, RUNTIME)
    assert row.device == "Pixel 7, Android 14; Chrome 141.0.0.0; Mali-G710"
    assert row.environment["device"] == "Pixel 7, Android 14"
    assert row.environment["told"] == "yes"
    assert row.timing.samples > 0
    np.testing.assert_array_equal(outputs_of(done, SETTING, RUNTIME), outputs)
    assert [trial for trial in done.trials if trial.runtime != RUNTIME] == list(before.trials)


def test_what_was_measured_on_the_same_phone_is_not_run_again(study):
    outputs = outputs_of(read_study(study), SETTING, "python")
    with a_phone(answering(outputs)) as place:
        first = measure_on_device(study, place, ALONE)
    heard, asked = Heard(), []
    with a_phone(lambda _, key: asked.append(key)) as place:
        assert measure_on_device(study, place, ALONE, progress=heard).trials == first.trials
    assert heard.ended[f"run {SETTING} in {RUNTIME}"] == "kept"
    assert asked == []
    other = {"user_agent": FACTS["user_agent"].replace("141", "142")}
    with a_phone(answering(outputs[::-1].copy()), **other) as place:
        assert row_of(measure_on_device(study, place, ALONE)).max_abs_from_python > 0


def test_the_row_stays_as_long_as_samples_and_artifact_do(study):
    outputs = outputs_of(read_study(study), SETTING, "python")
    with a_phone(answering(outputs)) as place:
        before = row_of(measure_on_device(study, place, ALONE))
    again = quantlab_in_process(*DIGITS, cwd=study.parent)
    assert (again.status, row_of(read_study(study))) == (0, before)
    line = (
        "phone-wasm: run on Pixel 7, Android 14; Chrome 141.0.0.0; Mali-G710; ms/sample there is the time of that "
        "phone, and may rank it"
    )
    assert line in again.stdout
    fewer = quantlab_in_process(*DIGITS, "--limit", "100", cwd=study.parent)
    assert all(trial.runtime != RUNTIME for trial in read_study(study).trials)
    assert f"the imported outputs of {SETTING} in {RUNTIME} are left out" in fewer.stdout


def test_a_row_is_removed(study):
    before = read_study(study)
    with a_phone(answering(outputs_of(before, SETTING, "python"))) as place:
        measure_on_device(study, place, ALONE)
    done = quantlab_in_process(
        "import", "--remove", "--runtime", RUNTIME, "--setting", SETTING, "digits.study", cwd=study.parent
    )
    assert (done.status, read_study(study).trials) == (0, before.trials)


def test_nan_is_measured_as_of_any_runtime(study):
    outputs = outputs_of(read_study(study), SETTING, "python").copy()
    outputs[3, 1] = np.nan
    with a_phone(answering(outputs)) as place:
        row = row_of(measure_on_device(study, place, ALONE))
    assert (row.failure, row.scores.non_finite) == (None, 1)


def test_a_liar_costs_its_row_and_no_other(study):
    outputs = outputs_of(read_study(study), SETTING, "python")

    def lie_once(phone, key):
        if phone.job(key)["job"]["format"] == "tflite":
            phone.tell(key, {"type": "progress", "done": 10**9, "batch": 10**9, "seconds": 0.0})
        else:
            phone.run_batches(key, outputs)

    before = read_study(study)
    with a_phone(lie_once) as place:
        options = DeviceOptions(settings=(SETTING, "tflite-dynamic"), layers=False, costs=False)
        done = measure_on_device(study, place, options)
    liar = row_of(done, "tflite-dynamic")
    assert liar.failure.stage == "run"
    assert liar.failure.reason.startswith("the phone reported that 1000000000 samples are done, after 0 in batches of ")
    assert row_of(done).failure is None
    assert [trial for trial in done.trials if trial.runtime != RUNTIME] == list(before.trials)


def test_an_op_that_the_phone_lacks_is_named(study):
    def lack(phone, key):
        phone.tell(key, {"type": "failed", "reason": "the backend lacks the op 'Foo'", "missing_op": "Foo"})

    with a_phone(lack) as place:
        row = row_of(measure_on_device(study, place, ALONE))
    assert row.failure.reason == "the backend lacks the op 'Foo'"


def test_an_interruption_keeps_the_rows_before_it(study):
    outputs = outputs_of(read_study(study), SETTING, "python")

    def stop_in_the_second(words, number, of):
        assert of == 2
        if number == 2:
            raise KeyboardInterrupt(words)

    options = DeviceOptions(settings=(SETTING, "tflite-dynamic"), layers=False, costs=False)
    with a_phone(answering(outputs)) as place, pytest.raises(KeyboardInterrupt):
        measure_on_device(study, replace(place, announce=stop_in_the_second), options)
    assert row_of(read_study(study)).scores is not None
    assert all((trial.setting, trial.runtime) != ("tflite-dynamic", RUNTIME) for trial in read_study(study).trials)


def test_what_cannot_be_measured_is_refused_before_anything_runs(study):
    record, asked = read_study(study), []
    with a_phone(lambda _, key: asked.append(key)) as place:
        with pytest.raises(UsageError, match=r"^there is no setting 'tfjs-uint9'; did you mean"):
            measure_on_device(study, place, DeviceOptions(settings=("tfjs-uint9",)))
        for file in row_of(record, runtime="python").variant.path.glob("*.bin"):
            file.write_bytes(b"other weights")
        with pytest.raises(StudyError, match=r"^the artifact of tfjs-uint8 is missing or damaged; run the same"):
            measure_on_device(study, place, ALONE)
        (record.samples.folder / "labels.npy").unlink()
        with pytest.raises(StudyError, match=r"^the samples of '.*' are missing or damaged; run the same 'quantlab"):
            measure_on_device(study, place, ALONE)
    assert asked == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(
            ["digits.study", "--data", "digits.npz"],
            "'digits.study' is a study, which has its samples and artifacts; leave --data out, or name a model",
            id="samples for a study",
        ),
        pytest.param(
            ["digits.study", "--batch-size", "4"],
            "'digits.study' is a study, which has its samples and artifacts; leave --batch-size out, or name a model",
            id="another option for a study",
        ),
        pytest.param(
            ["digits.keras"],
            "'digits.keras' is no study; for a model, give its samples with --data",
            id="a model without samples",
        ),
        pytest.param(
            ["digits.study", "--runtimes", "chromium-webgl"],
            "there is no runtime 'chromium-webgl'; did you mean 'phone-webgl'?",
            id="a runtime of this machine",
        ),
        pytest.param(
            ["digits.study", "--host", "0.0.0.0"],  # noqa: S104 (it is refused)
            "--host 0.0.0.0 would listen in every network; name one address of this machine, or give --network",
            id="every network",
        ),
        pytest.param(
            ["digits.study", "--host", "192.0.2.77"],
            "the server cannot listen on 192.0.2.77 port 0 (Cannot assign requested address); choose another --port, "
            "or an address of this machine with --host",
            id="an address of another machine",
        ),
    ],
)
def test_refused_before_a_phone_comes(words, told, place):
    done = quantlab_in_process("phone", *words, cwd=place)
    assert (done.status, done.stderr.strip()) == (2, f"quantlab: {told}")


def open_files():
    """Where the descriptors of this process lead."""
    links = {int(one.name): one for one in Path("/proc/self/fd").iterdir()}
    return {number: str(link.readlink()) for number, link in links.items() if link.is_symlink()}


def test_a_port_that_is_taken_leaves_nothing_open():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        before, port = open_files(), taken.getsockname()[1]
        with (
            pytest.raises(
                UsageError, match=rf"^the server cannot listen on 127\.0\.0\.1 port {port} \(Address already"
            ),
            Phone.open(PhonePlace(port=port), small_patience()),
        ):
            pass
        assert open_files() == before


def test_a_limit_of_open_files_leaves_nothing_open():
    before, (soft, hard) = open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)
    free = min(set(range(len(before) + 1)) - set(before))
    told = []
    for more in range(20):
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, hard))
        try:
            with Phone.open(PhonePlace(), small_patience()):
                break
        except QuantlabError as error:
            told.append(str(error).partition(" (")[0])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert open_files() == before
    assert "no socket can be made for the children of the study" in told
    assert open_files() == before


def test_no_phone_comes(place):
    done = quantlab_in_process("phone", "digits.study", "--wait", "0.02", "--port", "0", cwd=place)
    assert done.status == 2
    assert re.search(r"run: adb reverse tcp:(\d+) tcp:\1\n", done.stderr)
    assert re.search(r"open on the phone: http://localhost:\d+/[\w-]{22}/\n", done.stderr)
    assert done.stderr.strip().endswith(
        "quantlab: no phone has opened the page within 0.02 minutes; run the same command again, and raise --wait if "
        "you need longer"
    )


def test_analyze_says_where_a_runtime_of_a_phone_runs(place):
    done = quantlab_in_process(*DIGITS, "--runtimes", "python,phone-webgl", cwd=place)
    assert done.status == 2
    assert done.stderr.strip() == (
        "quantlab: the runtimes phone-* run on your phone; measure a study there with 'quantlab phone STUDY'"
    )
