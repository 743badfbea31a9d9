"""The command line: what it prints to which stream, exit statuses, and the files that commands leave."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import quantlab_in_process, run_quantlab
from study_fixtures import DIGITS, read_study, snapshot

from quantlab.cli import checks
from quantlab.cli.app import app
from quantlab.cli.output import print_result, say
from quantlab.runtimes import RUNTIMES
from quantlab.settings import SETTINGS
from quantlab_reports import RENDERINGS, trial_table
from quantlab_reports.views.trial_records import KEYS, rows

COMMANDS = tuple(one.name or one.callback.__name__ for one in app.registered_commands if one.callback)


def test_no_text_moves_the_cursor_or_names_the_window(capsys):
    for write in (print_result, say):
        write("one\x1b]0;owned\x07\ttwo\x9b2J\nthree\r")
    assert capsys.readouterr() == ("one]0;owned\ttwo2J\nthree\n", "one]0;owned\ttwo2J\nthree\n")


# Help


def test_help_lists_the_commands(tmp_path):
    done = run_quantlab("--help", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    listed = done.stdout.partition("Commands:")[2].splitlines()
    assert {line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "} >= {*COMMANDS}
    assert "…" not in done.stdout
    assert "..." not in done.stdout.partition("Commands:")[2]


def test_without_a_command_there_is_help(tmp_path):
    done = run_quantlab(cwd=tmp_path)
    assert done.status == 2
    assert "Commands:" in done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, tmp_path):
    done = quantlab_in_process(command, "--help", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: quantlab {command} ")
    assert "\x1b" not in done.stdout


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        pytest.param("quantlab sh", "show", id="a command"),
        pytest.param("quantlab export --fi", "--figure", id="an option"),
    ],
)
def test_a_shell_completes(typed, completed, tmp_path):
    variables = {"_QUANTLAB_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    assert run_quantlab(cwd=tmp_path, env=variables).stdout.split() == [completed]


def test_settings_lists_every_setting_and_runtime(tmp_path):
    done = quantlab_in_process("settings", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    told = {line.removeprefix("*").split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    for member in (*SETTINGS.values(), *RUNTIMES.values()):
        assert member.description in told[member.name]
        assert told[member.name].startswith("*") is member.default


def test_settings_for_programs(tmp_path):
    done = quantlab_in_process("settings", "--json", cwd=tmp_path)
    listed = json.loads(done.stdout)
    assert [row["setting"] for row in listed["settings"]] == list(SETTINGS)
    assert [row["runtime"] for row in listed["runtimes"]] == list(RUNTIMES)
    assert [row["setting"] for row in listed["settings"] if row["default"]] == [
        setting.name for setting in SETTINGS.values() if setting.default
    ]


@pytest.mark.parametrize("command", [*COMMANDS, ""])
def test_help_has_a_short_name(command, tmp_path):
    words = [command] if command else []
    short, long = (quantlab_in_process(*words, option, cwd=tmp_path) for option in ("-h", "--help"))
    assert short == long
    assert "-h, --help" in short.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_prints_json(command, tmp_path):
    """The gate's option names a file, as it always did; its `--format json` prints."""
    shown = quantlab_in_process(command, "--help", cwd=tmp_path).stdout
    # Typer writes the type of the value as <path>, its older versions as PATH.
    assert re.search(r"--json (<path>|PATH)" if command == "gate" else r"--json ", shown)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_written_to_has_a_short_name(command, tmp_path):
    shown = quantlab_in_process(command, "--help", cwd=tmp_path).stdout
    assert ("--out " in shown) is ("-o, --out " in shown)


def test_completion_is_there_for_a_shell(tmp_path):
    assert "--install-completion" in quantlab_in_process("--help", cwd=tmp_path).stdout
    script = run_quantlab(cwd=tmp_path, env={"_QUANTLAB_COMPLETE": "source_bash"})
    assert (script.status, script.stderr) == (0, "")
    assert "complete -o default -F _quantlab_completion quantlab" in script.stdout


# What goes where


def test_standard_output_carries_the_table_alone(place):
    done = run_quantlab(*DIGITS, cwd=place)
    shown = run_quantlab("show", cwd=place)
    assert (done.status, shown.status, shown.stderr) == (0, 0, "")
    assert done.stdout == shown.stdout
    assert done.stdout.startswith("Model  digits.keras (Keras 3)\n")
    assert done.last == "Study saved in 'digits.study'. To print all figures: quantlab show digits.study --wide"
    assert all(": kept (" in line or "read digits.npz" in line for line in done.stderr.splitlines()[:-1])


@pytest.mark.parametrize("name", RENDERINGS)
@pytest.mark.parametrize("wide", [False, True], ids=["narrow", "wide"])
def test_show_prints_what_the_renderer_gives(name, wide, place):
    done = quantlab_in_process("show", "digits.study", "--format", name, *(["--wide"] if wide else []), cwd=place)
    study = read_study(place / "digits.study")
    assert (done.stdout, done.stderr, done.status) == (RENDERINGS[name](trial_table(study, wide=wide)) + "\n", "", 0)


def test_show_for_programs(place):
    study = read_study(place / "digits.study")
    as_json = json.loads(quantlab_in_process("show", "--format", "json", cwd=place).stdout)
    assert as_json == json.loads(json.dumps(rows(study)))
    assert [(row["setting"], row["runtime"], row["status"]) for row in as_json] == [
        ("reference", "python", "reference"),
        ("tfjs-float32", "python", "measured"),
        ("tfjs-uint8", "python", "measured"),
        ("tfjs-uint8", "node-wasm", "measured"),
        ("tflite-float32", "python", "measured"),
        ("tflite-dynamic", "python", "measured"),
        ("tflite-dynamic", "node-wasm", "measured"),
    ]
    assert (
        quantlab_in_process("show", "--json", cwd=place).stdout
        == json.dumps(as_json, indent=1, ensure_ascii=False) + "\n"
    )
    as_csv = list(csv.reader(io.StringIO(quantlab_in_process("show", "--format", "csv", cwd=place).stdout)))
    assert as_csv[0] == list(KEYS)
    assert [row[:2] for row in as_csv[1:]] == [[row["setting"], row["runtime"]] for row in as_json]


def test_showing_runs_nothing_and_changes_nothing(place):
    before = snapshot(place / "digits.study")
    times = {file: file.stat().st_mtime_ns for file in (place / "digits.study").rglob("*")}
    assert quantlab_in_process("show", cwd=place, env={"QUANTLAB_NODE": "/nowhere"}).status == 0
    assert snapshot(place / "digits.study") == before
    assert {file: file.stat().st_mtime_ns for file in (place / "digits.study").rglob("*")} == times


def test_show_takes_the_latest_study(place):
    shutil.copytree(place / "digits.study", place / "later" / "renamed.study")
    record = place / "later" / "renamed.study" / "study.json"
    document = json.loads(record.read_text())
    document["model"]["path"] = "renamed.keras"
    record.write_text(json.dumps(document))
    latest = quantlab_in_process("show", cwd=place)
    assert latest.stdout.startswith("Model  renamed.keras (Keras 3)\n")
    os.utime(place / "digits.study" / "study.json")
    assert quantlab_in_process("show", cwd=place).stdout.startswith("Model  digits.keras (Keras 3)\n")


def test_show_without_a_study(tmp_path):
    done = run_quantlab("show", cwd=tmp_path)
    assert (done.stdout, done.stderr, done.status) == (
        "",
        "quantlab: there is no study in '.'; create one with 'quantlab analyze', or name its folder\n",
        2,
    )


def test_show_in_a_language_that_is_not_english(place):
    """The table has signs that only UTF-8 holds; a machine without a locale must print them too."""
    done = run_quantlab("show", "--wide", cwd=place, env={"LC_ALL": "C", "LANG": "C"})
    assert done.status == 0
    assert "✓ float32 check" in done.stdout


# Mistakes of ours, and readers that go


def test_debug_shows_where_a_mistake_came_from(tmp_path):
    plain = quantlab_in_process("analyze", "nowhere.keras", "--data", "x.npz", cwd=tmp_path)
    debug = quantlab_in_process("analyze", "nowhere.keras", "--data", "x.npz", "--debug", cwd=tmp_path)
    assert (plain.status, debug.status) == (2, 2)
    assert "Traceback" not in plain.stderr
    assert debug.stderr.startswith("Traceback (most recent call last):\n")
    assert "quantlab.errors.ModelError" in debug.stderr
    assert debug.last == plain.stderr.strip()


def test_a_mistake_of_ours_is_one_sentence_too(place):
    """A record that no version of quantlab writes stands for what nobody thought of."""
    record = place / "digits.study" / "study.json"
    document = json.loads(record.read_text())
    document["trials"][1]["variant"]["gzip_bytes"] = 10**400
    record.write_text(json.dumps(document))
    done = quantlab_in_process("show", cwd=place)
    assert (done.stdout, done.status) == ("", 2)
    assert done.stderr == (
        "quantlab: internal error (OverflowError: integer division result too large for a float); "
        "run the command again with --debug and report its output\n"
    )


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["at the end", "at once"])
@pytest.mark.parametrize("arguments", [["show", "--wide"], ["settings"], ["--help"]], ids=" ".join)
def test_a_reader_that_has_gone_is_no_error(arguments, unbuffered, place):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "quantlab", *arguments],
            cwd=place,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.stderr, done.returncode) == (b"", 0)


@pytest.mark.parametrize("sink", ["| true", ">/dev/full", ">&-"])
def test_an_analysis_with_a_failed_row_says_so_by_its_status(sink, place):
    """Whatever happens to its table; nothing is run, since all else is kept."""
    (place / "bad.tflite").write_bytes(b"\0\0\0\0TFL3")
    command = [sys.executable, "-m", "quantlab", *DIGITS, "--variant", "own=bad.tflite"]
    script = f'exec 3>&1; {{ "$@"; echo $? >&3; }} {sink}'
    done = subprocess.run(["/bin/sh", "-c", script, "sh", *command], cwd=place, capture_output=True, check=False)
    assert done.stdout == b"2\n"
    assert b"Traceback" not in done.stderr


def test_through_head(place):
    command = f"{sys.executable} -m quantlab show --format json | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=place, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[\n", "")


def test_interrupted_while_it_runs_nothing(place):
    """Ctrl-C before anything has begun is a stop like any other."""
    fifo = place / "slow.txt"
    os.mkfifo(fifo)
    command = [
        sys.executable,
        "-m",
        "quantlab",
        "analyze",
        "digits.keras",
        "--data",
        "digits.npz",
        "--config",
        str(fifo),
    ]
    process = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process, fifo.open("w"):  # opens when the other side does, which then reads and waits for us
        time.sleep(1)  # a signal that arrives just before the read would be handled after it, which does not end
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=600)
    assert (out, err.splitlines()[-1:], process.returncode) == (
        "",
        ["quantlab: stopped; run the same command again to continue"],
        130,
    )


# Exit statuses


def test_a_failed_trial_is_status_2_and_the_table_is_printed_all_the_same(place):
    done = quantlab_in_process(*DIGITS, cwd=place, env={"QUANTLAB_NODE": "/nowhere/node"})
    assert done.status == 2
    assert done.stdout.count("failed: Node.js at '/nowhere/node' does not start") == 2
    assert done.last == "Study saved in 'digits.study'. To print all figures: quantlab show digits.study --wide"
    assert quantlab_in_process("show", cwd=place).status == 0
    assert quantlab_in_process(*DIGITS, cwd=place).status == 0


@pytest.mark.starts_children
def test_demo(tmp_path):
    done = run_quantlab("demo", "--settings", "tfjs-uint8", "--runtimes", "python", cwd=tmp_path)
    assert done.status == 0, done.stderr
    study = read_study(tmp_path / "quantlab-demo.study")
    assert [(trial.setting, trial.runtime, trial.requested) for trial in study.trials] == [
        ("tfjs-float32", "python", False),
        ("tfjs-uint8", "python", True),
    ]
    assert study.samples.n + study.calibration.n == study.samples.available == 1197
    assert [path.name for path in tmp_path.iterdir()] == ["quantlab-demo.study"]


@pytest.mark.starts_children
def test_doctor_says_what_is_broken_and_what_mends_it(tmp_path):
    (tmp_path / "keras.py").write_text("raise ImportError('the one in the current folder')")
    done = quantlab_in_process(
        "doctor", cwd=tmp_path, env={"QUANTLAB_NODE": "/nowhere/node", "QUANTLAB_CHROME": "/nowhere/chrome"}
    )
    assert (done.status, done.stderr) == (2, "")
    lines = done.stdout.splitlines()
    assert [line[0] for line in lines[:13]] == ["✓"] * 9 + ["✗"] * 4
    assert lines[14][0] == "·"  # a browser is not needed, nor is node-native before it
    mend = (
        "Node.js at '/nowhere/node' does not start ([Errno 2] No such file or directory: '/nowhere/node'); "
        "set QUANTLAB_NODE to a Node.js of 20.11 or newer"
    )
    assert [line[2:].split(maxsplit=1)[0] for line in lines[9:13]] == ["Node.js", "tfjs", "LiteRT.js", "ONNX"]
    assert all(line.endswith(f"  {mend}") for line in lines[9:13])
    assert lines[14].endswith(
        "  the browser at '/nowhere/chrome' does not start ([Errno 2] No such file or directory: '/nowhere/chrome'); "
        "install one ('apt-get install chromium' on Debian), name one with QUANTLAB_CHROME, "
        "or leave these runtimes out with --runtimes"
    )
    assert lines[-1] == "4 of 15 checks failed"


def test_a_library_that_ends_the_process_takes_no_other_with_it(tmp_path, monkeypatch):
    texts = {
        "well": "print('quantlab: no message')",
        "raises": "raise OSError('no such symbol')",
        "dies": "import os, sys; print('out of luck', file=sys.stderr); os.abort()",
        "leaves": "raise SystemExit(3)",
        "half": "import sys; sys.stdout.write('a line without an end')",
        "caused": (
            "try:\n    raise OSError('\\n\\nno such symbol\\nat all')\n"
            "except OSError as error:\n    raise ImportError('\\n\\nread this') from error\n"
        ),
        "last": "",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}_library.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert checks.failures_of([*(f"{name}_library" for name in texts), "absent_library"]) == {
        "raises_library": "OSError: no such symbol",
        "dies_library": "it was ended by SIGABRT: out of luck",
        "leaves_library": "SystemExit: 3",
        "caused_library": "OSError: no such symbol\nat all",
        "absent_library": "ModuleNotFoundError: No module named 'absent_library'",
    }


# Artifacts alone


@pytest.fixture(scope="module")
def converted(digits_study, tmp_path_factory):
    place = shutil.copytree(digits_study, tmp_path_factory.mktemp("convert") / "place")
    settings = "tfjs-uint8,tflite-float16,tflite-int8"
    return place, quantlab_in_process(
        "convert", "digits.keras", "--settings", settings, "--out", "web/models", cwd=place
    )


def test_convert_says_what_it_made(converted):
    _, done = converted
    assert done.status == 2
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        "made    tfjs-uint8  web/models/tfjs-uint8",
        "made    tflite-float16  web/models/tflite-float16",
    ]
    assert lines[2].startswith("failed  tflite-int8  ")
    assert "static quantization needs calibration samples, and none were given" in lines[2]
    assert len(lines) == 3


def test_what_is_converted_can_be_served_as_it_is(converted):
    place, _ = converted
    files = sorted(str(file.relative_to(place / "web")) for file in (place / "web").rglob("*") if file.is_file())
    assert files == [
        "models/tfjs-uint8/group1-shard1of1.bin",
        "models/tfjs-uint8/model.json",
        "models/tflite-float16/model.tflite",
    ]
    shard = place / "web" / "models" / "tfjs-uint8" / "group1-shard1of1.bin"
    manifest = json.loads(shard.with_name("model.json").read_text())["weightsManifest"]
    assert [path for group in manifest for path in group["paths"]] == [shard.name]
    assert (place / "web" / "models" / "tflite-float16" / "model.tflite").read_bytes()[4:8] == b"TFL3"


def test_what_is_converted_is_what_a_study_measures(converted):
    place, _ = converted
    study = read_study(place / "digits.study")
    measured = next(trial.variant for trial in study.trials if trial.setting == "tfjs-uint8")
    shard = "group1-shard1of1.bin"
    assert (place / "web" / "models" / "tfjs-uint8" / shard).read_bytes() == (measured.path / shard).read_bytes()


def test_convert_leaves_what_is_there(converted):
    place, _ = converted
    before = snapshot(place / "web")
    again = quantlab_in_process(
        "convert", "digits.keras", "--settings", "tflite-dynamic,tfjs-uint8", "--out", "web/models", cwd=place
    )
    assert (again.stderr, again.stdout, again.status) == (
        "quantlab: 'web/models/tfjs-uint8' already exists; choose another --out, or remove it\n",
        "",
        2,
    )
    assert snapshot(place / "web") == before


def test_convert_of_nothing_leaves_nothing(tmp_path):
    done = quantlab_in_process("convert", "nowhere.keras", "--out", "web", cwd=tmp_path)
    assert done.status == 2
    assert list(tmp_path.iterdir()) == []


def test_a_study_may_lie_anywhere(place):
    target = Path("deep") / "two words" / "it.study"
    shutil.copytree(place / "digits.study", place / target)
    done = quantlab_in_process(*DIGITS, "--out", target, cwd=place)
    assert done.status == 0
    assert done.last == f"Study saved in '{target}'. To print all figures: quantlab show '{target}' --wide"


def test_json_without_a_file_says_how_to_print(tmp_path):
    done = quantlab_in_process("gate", "--json", cwd=tmp_path)
    message = "option '--json' requires an argument here; write --json - to print the figures, or --json FILE"
    assert (done.status, done.last) == (2, f"quantlab: {message}; see 'quantlab --help'")
