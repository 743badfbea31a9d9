"""Folders of a study that are refused: of another model, damaged, in use by another process, or on a full disk."""

import fcntl
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Done, quantlab_in_process, run_quantlab
from refusals import ANALYZE, UNKNOWN, Case, check, ids, nothing, refused
from study_fixtures import DIGITS, snapshot

from quantlab.models import ModelOptions, identify


def others_study(place: Path) -> None:
    data = (place / "digits.keras").read_bytes()
    (place / "other.keras").write_bytes(data[:-2] + b"\x01\x00" + b"!")  # the same zip with a comment


def own_folder(place: Path) -> None:
    (place / "thesis").mkdir()
    (place / "thesis" / "chapter.tex").write_text("…")


def spoiled_record(change: Callable[[dict[str, object]], object]) -> Callable[[Path], object]:
    def prepare(place: Path) -> None:
        file = place / "digits.study" / "study.json"
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))

    return prepare


FOLDERS = [
    Case(
        "a study of another model",
        "analyze other.keras --data digits.npz --out digits.study",
        "'digits.study' is a study of another model (SHA-256 {digits}…, and 'other.keras' has "
        "{other}…); choose another folder with --out",
        others_study,
    ),
    Case(
        "a folder that is not a study",
        f"{UNKNOWN} --out thesis",
        "'thesis' is not empty and not a study (it contains 'chapter.tex'); choose another folder with --out",
        own_folder,
    ),
    Case(
        "a folder that cannot be written",
        f"{UNKNOWN} --out digits.npz/study",
        "the study 'digits.npz/study' cannot be written (Not a directory); choose another folder with --out",
    ),
    Case(
        "nothing to show",
        "show nowhere.study",
        "'nowhere.study' is not a finished study; create it with 'quantlab analyze … --out nowhere.study'",
    ),
    Case(
        "a study that is not finished to show",
        "show half.study",
        "'half.study' is a study that is not finished; wait for the command that works on it, or run 'quantlab analyze "
        "… --out half.study' again if it was stopped, which goes on",
        lambda place: [(place / "half.study").mkdir(), (place / "half.study" / ".lock").touch()],
    ),
    Case(
        "half a record to show",
        "show digits.study",
        "'digits.study/study.json' cannot be read (Expecting value: line 1 column 1 (char 0)); "
        "run 'quantlab analyze' again, which reuses finished work",
        lambda place: (place / "digits.study" / "study.json").write_text(""),
    ),
    Case(
        "a record of another schema to show",
        "show digits.study",
        "'digits.study/study.json' has schema 99, and this quantlab reads schema 1; run 'quantlab analyze' again",
        spoiled_record(lambda document: document.update(schema=99)),
    ),
    Case(
        "a record with a part missing to show",
        "show digits.study",
        "'digits.study/study.json' is not a complete study; run 'quantlab analyze' again, which reuses finished work",
        spoiled_record(lambda document: document.pop("task")),
    ),
    Case(
        "artifacts where others are",
        "convert digits.keras --settings tfjs-uint8 --out web",
        "'web/tfjs-uint8' already exists; choose another --out, or remove it",
        lambda place: (place / "web" / "tfjs-uint8").mkdir(parents=True),
    ),
]


@pytest.mark.parametrize("case", ids(FOLDERS))
def test_a_folder_that_will_not_do(case, place):
    case.prepare(place)
    check(replace(case, message=_with_hashes(case.message, place), prepare=nothing), place)


def _with_hashes(message: str, place: Path) -> str:
    for name in ("digits", "other"):
        if f"{{{name}}}" in message:
            message = message.replace(f"{{{name}}}", identify(place / f"{name}.keras", ModelOptions()).sha256[:12])
    return message


# The folder is held, or the disk is full


def test_a_study_that_another_process_works_on(place):
    with (place / "digits.study" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check(
            Case(
                "locked",
                UNKNOWN,
                "another quantlab is using the study 'digits.study'; wait for it, or choose another --out",
            ),
            place,
        )
    assert quantlab_in_process(*DIGITS, cwd=place).status == 0


def test_a_study_that_another_process_works_on_can_be_shown(place):
    with (place / "digits.study" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert quantlab_in_process("show", "digits.study", cwd=place).status == 0


def test_no_room_for_samples(place):
    """The limit on a file's size stands for a disk that fills up; samples are the largest file here."""
    before = snapshot(place / "digits.study")
    limited = ["prlimit", f"--fsize={100_000}"]
    done = run_quantlab(*ANALYZE.split(" "), "--data", "digits.npz", cwd=place, before=limited)
    said = re.sub(r"\.writing-\w+", ".writing-x", done.stderr)
    refused(
        replace(done, stderr=said),
        "File too large: 'digits.study/samples/.writing-x/data/input-image.npy'; fix this and run the same command "
        "again to continue",
    )
    assert snapshot(place / "digits.study") == before


SMALL_DISK = """
mount -t tmpfs -o size={megabytes}m tmpfs disk && cp -r digits.study disk/ && rm -rf disk/digits.study/outputs
head -c $(($(stat -f -c '%a * %S' disk) - {left})) /dev/zero > disk/ballast
"$@"; status=$?
rm -rf kept && cp -r disk/digits.study kept
exit $status
"""


def on_a_small_disk(place: Path, left: int, *arguments: str) -> Done:
    """Run the command line where `disk`, a copy of the study without its outputs, has so many bytes left."""
    unshare = shutil.which("unshare") or "unshare"
    if subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces, to mount a small disk: 'sysctl kernel.unprivileged_userns_clone=1'")
    (place / "disk").mkdir(exist_ok=True)
    script = SMALL_DISK.format(megabytes=16, left=left)
    return run_quantlab(*arguments, cwd=place, before=[unshare, "-rm", "sh", "-c", script, "sh"])


def test_no_room_for_the_outputs(place):
    done = on_a_small_disk(place, 450_000, *UNKNOWN.split(" "), "--out", "disk/digits.study")
    refused(
        done,
        "the outputs of 18 trials need 0.7 MB, and the disk of 'disk/digits.study' has 0.4 MB "
        "free; free some space, choose another --out, or run fewer samples with --limit",
    )


def test_no_room_for_the_samples_at_all(place):
    done = on_a_small_disk(place, 200_000, *UNKNOWN.split(" "), "--out", "disk/digits.study")
    refused(
        done,
        "the samples need 0.31 MB in 'disk/digits.study/samples', but only 0.20 MB are free; "
        "free some space, choose another folder with --out, or score fewer with --limit",
    )
