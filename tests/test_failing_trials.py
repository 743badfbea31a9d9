"""A failing trial affects only its row: failures of a worker, of Node.js, of a browser, of a user's variant."""

import json
import shutil
from pathlib import Path

import pytest
from command_line import processes_marked, quantlab_in_process, write_program
from contracts import no_process_left
from refusals import nothing
from study_fixtures import DIGITS


def rows_of(study: str, place: Path) -> dict[tuple[str, str], dict[str, object]]:
    done = quantlab_in_process("show", study, "--format", "json", cwd=place)
    assert done.status == 0, done.stderr
    return {(row["setting"], row["runtime"]): row for row in json.loads(done.stdout)}


RUNTIMES = [
    pytest.param(
        "exit 3",
        "the process exited with status 3",
        id="ends in silence",
    ),
    pytest.param(
        "echo 'out of luck' >&2; exit 1",
        "the process exited with status 1; its log ends with: out of luck",
        id="ends with last words",
    ),
    pytest.param(
        "kill -SEGV $$",
        "the process was ended by SIGSEGV",
        id="crashes",
    ),
    pytest.param(
        "kill -KILL $$",
        "the process was ended by SIGKILL, perhaps because the system ran out of memory",
        id="is killed",
    ),
    pytest.param(
        "sleep 1000",
        "the process sent nothing for 2 seconds and was ended; if it only needs more time, raise --time-limit",
        id="hangs",
    ),
    pytest.param(
        "sleep 1000 & sleep 1000 & wait",
        "the process sent nothing for 2 seconds and was ended; if it only needs more time, raise --time-limit",
        id="hangs with children of its own",
    ),
    pytest.param(
        "echo 'Segmentation fault'; sleep 1000",
        "the process was ended because it sent 'Segmentation fault' where a message was expected",
        id="talks rubbish",
    ),
    pytest.param(
        "echo '[1]'",
        "the process was ended because it sent '[1]' where a message was expected",
        id="talks JSON that is no message",
    ),
]


@pytest.mark.parametrize(("body", "reason"), RUNTIMES)
def test_a_runtime_that(body, reason, place):
    node = write_program(place / "node", f'[ "$1" = --version ] && {{ echo v22.0.0; exit; }}\n{body}')
    before = rows_of("digits.study", place)
    (place / "digits.study" / "work" / "node.log").write_text("last words of an earlier one\n")
    mark = f"QUANTLAB_TEST={place}"
    variables = {"QUANTLAB_NODE": str(node), "QUANTLAB_TEST": str(place)}
    with no_process_left():
        done = quantlab_in_process(*DIGITS, "--time-limit", "2", cwd=place, env=variables)
    assert done.status == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "failed: " in done.stdout
    after = rows_of("digits.study", place)
    assert {key: row["reason"] for key, row in after.items()} == {
        key: reason if key[1] == "node-wasm" else None for key in before
    }
    assert {key: row for key, row in after.items() if key[1] == "python"} == {
        key: row for key, row in before.items() if key[1] == "python"
    }
    assert processes_marked(mark) == []


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        pytest.param(
            "echo v18.20.1",
            "'{node}' is Node.js v18.20.1, and version 20.11 or newer is required; "
            "set QUANTLAB_NODE to a Node.js of 20.11 or newer",
            id="too old",
        ),
        pytest.param(
            "echo hello",
            "'{node}' is Node.js hello, and version 20.11 or newer is required; "
            "set QUANTLAB_NODE to a Node.js of 20.11 or newer",
            id="something else",
        ),
        pytest.param(
            "exit 1",
            "Node.js at '{node}' does not start (Command '['{node}', '--version']' returned non-zero exit status 1.); "
            "set QUANTLAB_NODE to a Node.js of 20.11 or newer",
            id="broken",
        ),
    ],
)
def test_a_node_that_will_not_do(version, reason, place):
    node = write_program(place / "node", version)
    done = quantlab_in_process(*DIGITS, cwd=place, env={"QUANTLAB_NODE": str(node)})
    assert done.status == 2, done.stderr
    reasons = {row["reason"] for key, row in rows_of("digits.study", place).items() if key[1] == "node-wasm"}
    assert reasons == {reason.format(node=node)}


CHROME_REMEDY = (
    "install one ('apt-get install chromium' on Debian), name one with QUANTLAB_CHROME, or leave these runtimes out "
    "with --runtimes"
)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(
            "echo Chromium 60.0.3112.78",
            f"the browser at '{{chrome}}' has version 60.0.3112.78, and version 113 or newer is required; "
            f"{CHROME_REMEDY}",
            id="too old",
        ),
        pytest.param(
            "exit 1",
            "the browser at '{chrome}' does not start (Command '['{chrome}', '--version']' returned non-zero exit "
            f"status 1.); {CHROME_REMEDY}",
            id="broken",
        ),
        pytest.param(
            '[ "$1" = --version ] && echo Chromium 131.0.0.0 && exit\n'
            "echo '[7:7:FATAL:zygote_host_impl_linux.cc(128)] No usable sandbox! …' >&2\n"
            "kill -ABRT $$",
            "the browser found no sandbox that it may use; allow user namespaces (on Debian and Ubuntu 'sysctl "
            "kernel.unprivileged_userns_clone=1' or 'kernel.apparmor_restrict_unprivileged_userns=0'), or install its "
            "own with 'apt-get install chromium-sandbox'",
            id="without a sandbox",
        ),
    ],
)
def test_a_browser_that_will_not_do(body, reason, place):
    """Costs its own row: those of Python stand."""
    chrome = write_program(place / "chrome", body)
    before = rows_of("digits.study", place)
    added = ("--settings", "tfjs-uint8", "--runtimes", "python,chromium-wasm", "--no-costs", "--no-layers")
    environment = {"QUANTLAB_CHROME": str(chrome), "QUANTLAB_TEST": str(place)}
    with no_process_left():
        done = quantlab_in_process(*DIGITS, *added, cwd=place, env=environment)
    assert done.status == 2, done.stderr
    assert "Traceback" not in done.stderr
    after = rows_of("digits.study", place)
    assert {key: row["reason"] for key, row in after.items()} == {
        ("reference", "python"): None,
        ("tfjs-float32", "python"): None,
        ("tfjs-uint8", "python"): None,
        ("tfjs-uint8", "chromium-wasm"): reason.format(chrome=chrome),
    }
    assert after["tfjs-uint8", "python"]["top1"] == before["tfjs-uint8", "python"]["top1"]
    assert processes_marked(f"QUANTLAB_TEST={place}") == []


def others_artifact(place: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "quantlab/runtimes/js/fixtures/two_ports.tflite", place / "given.tflite")


def digits_artifact(place: Path) -> Path:
    return next((place / "digits.study" / "variants" / "tflite-dynamic").glob("*/artifact/model.tflite"))


VARIANTS = [
    pytest.param(
        nothing,
        "there is no artifact at 'given.tflite', which was given as --variant mine=given.tflite",
        id="missing",
    ),
    pytest.param(
        lambda place: (place / "given.tflite").write_bytes(b"what is this"),
        "'{place}/given.tflite' does not start like a TFLite file; give a .tflite file",
        id="something else",
    ),
    pytest.param(
        lambda place: (place / "given.tflite").write_bytes(digits_artifact(place).read_bytes()[:2000]),
        "'{place}/given.tflite' is not a complete TFLite file; if it was truncated, copy it again",
        id="cut short",
    ),
    pytest.param(
        others_artifact,
        "'{place}/given.tflite' has the inputs 'apple' (1, 3), 'zebra' (1, 3), but the model has "
        "'image' (None, 8, 8, 1); give an artifact that was made from this model",
        id="of another model",
    ),
]


@pytest.mark.parametrize(("prepare", "reason"), VARIANTS)
def test_a_given_variant_that_is(prepare, reason, place):
    prepare(place)
    before = rows_of("digits.study", place)
    done = quantlab_in_process(*DIGITS, "--variant", "mine=given.tflite", cwd=place)
    assert done.status == 2, done.stderr
    assert "Traceback" not in done.stderr
    after = rows_of("digits.study", place)
    failed = {key: row["reason"] for key, row in after.items() if key not in before}
    assert failed == {("mine", runtime): reason.format(place=place) for runtime in ("python", "node-wasm")}
    assert {key: row for key, row in after.items() if key in before} == before
