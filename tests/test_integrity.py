"""Stored results are checked when they are used: damaged ones are reported and made again, equal to the originals."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from toy_format.study import Host, with_hosts, write_model, write_samples

from quantlab.cli import run
from quantlab.errors import StudyError
from quantlab.progress import Silent
from quantlab.seals import SEAL
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, analyze, verify
from quantlab.study.unfinished import PROGRESS, RunProgress, WrittenRows, hash_rows

pytestmark = pytest.mark.starts_children

ATTIC = Host("attic")
REGISTRIES = with_hosts(ATTIC.runtime())
BATCH = 32
"""Of a study where nothing is asked for; the 150 samples end with a part of one."""


class Heard(Silent):
    """The warnings of a study."""

    def __init__(self):
        super().__init__()
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    write_model(folder / "one_dense.onnx")
    write_samples(folder / "samples.npz")
    return folder


def analyzed(place, out):
    heard = Heard()
    options = AnalyzeOptions(settings=("toy-int8",), runtimes=("python", "attic"), out=out, layers=False, costs=False)
    data = str(place / "samples.npz")
    study = analyze(place / "one_dense.onnx", data=data, options=options, registries=REGISTRIES, progress=heard)
    return study, heard.warnings


@pytest.fixture
def kept(place, tmp_path):
    """A study, copied from one that was made once."""
    made = place / "toy.study"
    if not made.exists():
        analyzed(place, made)
    shutil.copytree(made, tmp_path / "toy.study")
    return tmp_path / "toy.study"


def with_layers_and_costs(place, out):
    """The warnings of a study that keeps everything that a study can keep."""
    heard = Heard()
    options = AnalyzeOptions(settings=("toy-int8",), runtimes=("python",), out=out, layer_samples=20)
    data = str(place / "samples.npz")
    analyze(place / "one_dense.onnx", data=data, options=options, registries=REGISTRIES, progress=heard)
    return heard.warnings


@pytest.fixture
def whole(place, tmp_path):
    """Such a study, copied from one that was made once."""
    made = place / "whole.study"
    if not made.exists():
        with_layers_and_costs(place, made)
    return shutil.copytree(made, tmp_path / "whole.study")


def only(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


DAMAGES = {
    "an output": "outputs/toy-int8/attic/*/y.npy",
    "an output of the reference": "outputs/reference/python/*/y.npy",
    "an artifact": "variants/toy-int8/*/artifact/model.toy",
    "the float32 artifact": "variants/toy-float32/*/artifact/model.toy",
    "samples": "samples/data/*/input-x.npy",
    "labels": "samples/data/*/labels.npy",
    "calibration samples": "samples/calibration/*/input-x.npy",
}


def zeroed(path):
    content = path.read_bytes()
    path.write_bytes(content[:-40] + bytes(40) if content[-40:] != bytes(40) else content[:-1] + b"\1")


def truncated(path):
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize("damage", [zeroed, truncated, Path.unlink])
@pytest.mark.parametrize("what", DAMAGES)
def test_what_is_damaged_is_made_again(what, damage, place, kept):
    path = only(kept, DAMAGES[what])
    good = path.read_bytes()
    damage(path)
    assert [row.state for row in verify(kept, registries=REGISTRIES)].count("intact") < len(
        verify(kept, registries=REGISTRIES)
    )
    _, warnings = analyzed(place, kept)
    assert path.read_bytes() == good
    assert {row.state for row in verify(kept, registries=REGISTRIES)} == {"intact"}
    if damage is not Path.unlink:
        assert [text for text in warnings if "damaged" in text] != []


def first_changed(path):
    """A sample of the first batch, which every interrupted run has written."""
    content = bytearray(path.read_bytes())
    content[WrittenRows.of(path).offset] ^= 1
    path.write_bytes(content)


def interrupt(path, done, change=lambda line: line):
    """Make a finished run an interrupted one, of which `done` samples are told to be written."""
    folder = path.parent
    partial = folder.with_name(f"{folder.name}.partial")
    folder.rename(partial)
    (partial / "outputs.json").unlink()
    sha256 = hash_rows([WrittenRows.of(partial / path.name)], 0, done, batch_size=BATCH)
    (partial / PROGRESS).write_bytes(change(RunProgress(done, 0, 0.0, sha256).line()))
    return partial / path.name


def last_changed(path):
    path.write_bytes(path.read_bytes()[:-1] + b"~")


DAMAGED_RUN = ["the unfinished outputs of toy-int8 in attic are damaged, so it runs again from its first sample"]


@pytest.mark.parametrize(
    ("done", "damage", "start"),
    [
        pytest.param(150, None, 128, id="all of it"),
        pytest.param(64, None, 64, id="a part"),
        pytest.param(0, None, 0, id="nothing"),
        pytest.param(64, last_changed, 64, id="not yet run"),
        pytest.param(150, last_changed, None, id="the last batch changed"),
        pytest.param(64, first_changed, None, id="the first batch changed"),
        pytest.param(64, truncated, None, id="truncated"),
        pytest.param(64, Path.unlink, None, id="the file is gone"),
    ],
)
def test_an_interrupted_run_goes_on_only_with_what_it_wrote(done, damage, start, place, kept):
    path = only(kept, DAMAGES["an output"])
    good = path.read_bytes()
    written = interrupt(path, done)
    if damage is not None:
        damage(written)
    ATTIC.starts.clear()
    _, warnings = analyzed(place, kept)
    assert path.read_bytes() == good
    assert (warnings, [at for _, at in ATTIC.starts]) == ([] if start is not None else DAMAGED_RUN, [start or 0])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda line: line.replace(b'"done": 64', b'"done": 96'), id="more than was written"),
        pytest.param(lambda line: line.replace(b'"done": 64', b'"done": 50'), id="a part of a batch"),
        pytest.param(lambda line: line.replace(b'"done": 64', b'"done": 9000'), id="more than there is"),
        pytest.param(lambda line: line.replace(b'"sha256"', b'"sha255"'), id="no hash"),
        pytest.param(lambda _: b"null", id="no record"),
        pytest.param(lambda _: b"[1]", id="a list"),
        pytest.param(lambda _: b"", id="empty"),
    ],
)
def test_the_progress_of_an_interrupted_run_is_checked(change, place, kept):
    path = only(kept, DAMAGES["an output"])
    good = path.read_bytes()
    interrupt(path, 64, change)
    ATTIC.starts.clear()
    _, warnings = analyzed(place, kept)
    assert path.read_bytes() == good
    assert (warnings, [at for _, at in ATTIC.starts]) == (DAMAGED_RUN, [0])


def unhashed(**changes):
    """A record as an older quantlab wrote it, without a hash; changed."""

    def change(document):
        del document[SEAL]
        document["outputs"][0].update(changes)

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda document: document.update(again=0.5), id="another figure"),
        pytest.param(lambda document: document["outputs"][0].update(shape=[None, 9]), id="another size"),
        pytest.param(lambda document: document.pop("single"), id="a part is missing"),
        pytest.param(lambda document: document.update(outputs=[]), id="no outputs"),
        pytest.param(unhashed(shape=[None, -3]), id="a size below zero"),
        pytest.param(unhashed(shape=[]), id="no batch"),
        pytest.param(unhashed(dtype="object"), id="no numbers"),
        pytest.param(unhashed(dtype="float31"), id="no data type"),
        pytest.param(unhashed(name="z"), id="no output of the model"),
    ],
)
def test_what_the_model_was_found_to_give_is_checked(change, place, kept):
    record = only(kept, "model/*/probe.json")
    good = record.read_text()
    document = json.loads(good)
    change(document)
    record.write_text(json.dumps(document))
    _, warnings = analyzed(place, kept)
    assert warnings == [f"'{record}' is damaged, so the model is called again on a few samples"]
    assert record.read_text() == good


def test_a_probe_of_an_older_quantlab_is_taken(place, kept):
    record = only(kept, "model/*/probe.json")
    document = json.loads(record.read_text())
    unhashed()(document)
    record.write_text(old := json.dumps(document))
    assert (analyzed(place, kept)[1], record.read_text()) == ([], old)


def halves_swapped(path):
    content = path.read_bytes()
    path.write_bytes(content[-200:] + content[200:-200] + content[:200])


def one_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def longer(path):
    path.write_bytes(path.read_bytes() + b"more")


def emptied(path):
    path.write_bytes(b"")


def of_the_other_runtime(path):
    """The whole folder of another row, as its record says."""
    other = only(path.parents[2], "python/*/outputs.json").parent
    shutil.rmtree(path.parent)
    shutil.copytree(other, path.parent)


def of_another_machine(path):
    """The outputs that another machine wrote, in the folder whose name is the hash of ours."""
    record = path.with_name("outputs.json")
    text = record.read_text()
    zeroed(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    kept = re.sub(r'"y": "[0-9a-f]{64}"', f'"y": "{sha256}"', text)
    record.write_text(kept.replace(path.parent.name, "0" * 16))


def of_an_older_version(path):
    """A record that lacks what this version needs."""
    record = path.with_name("outputs.json")
    record.write_text(record.read_text().replace('"timing"', '"time"'))


def record_emptied(path):
    path.with_name("outputs.json").write_bytes(b"")


def record_of_other_files(path):
    """A record that names the outputs of the model itself."""
    record = path.with_name("outputs.json")
    record.write_text(record.read_text().replace(str(path.relative_to(path.parents[4])), "samples/none.npy"))


WAYS = (
    *(zeroed, truncated, halves_swapped, one_bit, longer, emptied, of_the_other_runtime, of_another_machine),
    *(of_an_older_version, record_emptied, record_of_other_files),
)


@pytest.mark.parametrize("damage", WAYS)
def test_outputs_damaged_in_many_ways(damage, place, kept):
    path = only(kept, DAMAGES["an output"])
    good = path.read_bytes()
    damage(path)
    _, warnings = analyzed(place, kept)
    assert warnings == ["the outputs of toy-int8 in attic are damaged, so it runs again"]
    assert path.read_bytes() == good
    assert {row.state for row in verify(kept, registries=REGISTRIES)} == {"intact"}


RECORDS = {
    "variants/toy-int8/*/variant.json": "the artifact of toy-int8 is damaged, so it is converted again",
    "variants/toy-float32/*/variant.json": "the artifact of toy-float32 is damaged, so it is converted again",
    "outputs/reference/python/*/outputs.json": "the outputs of reference in python are damaged, so it runs again",
}


@pytest.mark.parametrize("damage", [zeroed, truncated, emptied])
@pytest.mark.parametrize("record", RECORDS)
def test_a_damaged_record_is_said_and_made_again(record, damage, place, kept):
    damage(only(kept, record))
    _, warnings = analyzed(place, kept)
    assert RECORDS[record] in warnings
    assert {row.state for row in verify(kept, registries=REGISTRIES)} == {"intact"}


def one_byte(path):
    """Change a byte in the middle; of a record a digit, so that it is still JSON."""
    good = path.read_bytes()
    digits = [place for place, byte in enumerate(good) if path.suffix != ".json" or chr(byte).isdigit()]
    for place in digits[len(digits) // 2 :]:
        content = bytearray(good)
        content[place] = ord("3") if content[place] == ord("7") else ord("7")
        path.write_bytes(content)
        # The last digit of a time may be one that no float64 has.
        if path.suffix != ".json" or json.loads(content) != json.loads(good):
            return


def test_every_file_is_checked(whole):
    """But the logs, and the file that a study is locked by."""
    assert {row.state for row in verify(whole, registries=REGISTRIES)} == {"intact"}
    files = [path for path in whole.rglob("*") if path.is_file()]
    kept = [path for path in files if path.relative_to(whole).parts[0] not in {"work", ".lock"}]
    for path in kept:
        good = path.read_bytes()
        one_byte(path)
        (broken,) = (row for row in verify(whole, registries=REGISTRIES) if row.state != "intact")
        assert broken.state in {"damaged", "missing"}, path
        path.write_bytes(good)
    kinds = {re.sub(r"[0-9a-f]{12,16}", "KEY", str(path.relative_to(whole))) for path in kept}
    assert kinds > {
        "costs.json",
        "costs/toy-int8/python/KEY.json",
        "inside.json",
        "inside/toy-int8/python/KEY.json",
        "model/KEY/opened.json",
        "model/KEY/probe.json",
        "model/sha256",
        "output_figures.json",
        "outputs/toy-int8/python/KEY/outputs.json",
        "outputs/toy-int8/python/KEY/y.npy",
        "samples/data/KEY/indices.npy",
        "samples/layers/KEY/input-x.npy",
        "samples/layers/KEY/samples.json",
        "study.json",
        "transfer/KEY.json",
        "variants/toy-int8/KEY/artifact/model.toy",
        "variants/toy-int8/KEY/variant.json",
    }


@pytest.mark.parametrize(
    ("record", "again"),
    [
        pytest.param("costs/toy-int8/python/*.json", "toy-int8 is timed again in python", id="costs"),
        pytest.param(
            "inside/toy-int8/python/*.json", "the layers of toy-int8 are compared again in python", id="layers"
        ),
        pytest.param("transfer/*.json", "is compressed again", id="a download size"),
        pytest.param("samples/layers/*/input-x.npy", "they are written again", id="samples of layers"),
        pytest.param("samples/layers/*/samples.json", "they are written again", id="the record of these samples"),
    ],
)
def test_what_is_kept_of_costs_and_layers_is_made_again(record, again, place, whole):
    one_byte(next(whole.glob(record)))
    (warning,) = with_layers_and_costs(place, whole)
    assert re.fullmatch(rf"('.*{record.split('/')[0]}/.*' is|the samples in '.*' are) damaged, so .*{again}", warning)
    assert {row.state for row in verify(whole, registries=REGISTRIES)} == {"intact"}


def test_a_damaged_result_is_refused_where_it_is_shown(whole):
    one_byte(whole / "costs.json")
    with pytest.raises(StudyError, match=r"costs.json' is damaged, or another version of quantlab wrote it; run"):
        Store(whole).read_costs()


def test_an_artifact_of_another_setting_in_place_of_ours(place, kept):
    ours = only(kept, "variants/toy-int8/*/variant.json").parent
    good = (ours / "artifact" / "model.toy").read_bytes()
    shutil.rmtree(ours)
    shutil.copytree(only(kept, "variants/toy-float32/*/variant.json").parent, ours)
    _, warnings = analyzed(place, kept)
    assert "the artifact of toy-int8 is damaged, so it is converted again" in warnings
    assert (ours / "artifact" / "model.toy").read_bytes() == good


@pytest.mark.parametrize(
    ("what", "part"), [("samples", "data"), ("labels", "data"), ("calibration samples", "calibration")]
)
def test_damaged_samples_are_said(what, part, place, kept):
    path = only(kept, DAMAGES[what])
    zeroed(path)
    _, warnings = analyzed(place, kept)
    assert warnings == [f"the samples in '{path.parent}' are damaged, so they are written again"]
    assert part in path.parts


def test_nothing_is_said_of_what_is_whole(place, kept):
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.npy")}
    _, warnings = analyzed(place, kept)
    assert warnings == []
    assert {path: path.stat().st_mtime_ns for path in before if "samples" not in path.parts} == {
        path: at for path, at in before.items() if "samples" not in path.parts
    }


def test_outputs_of_an_older_quantlab_are_taken_as_they_are(place, kept):
    """They have no hash."""
    record = only(kept, "outputs/toy-int8/attic/*/outputs.json")
    text = record.read_text()
    start = text.index('"sha256"')
    record.write_text(text[:start].rstrip().rstrip(",") + "\n}\n")
    _, warnings = analyzed(place, kept)
    assert warnings == []
    states = {row.name: row.state for row in verify(kept, registries=REGISTRIES)}
    assert states["toy-int8 in attic"] == "no hash"


def test_the_command(place, capsys, monkeypatch, kept):
    monkeypatch.chdir(kept.parent)
    study, _ = analyzed(place, kept)
    assert study.trials
    path = only(kept, DAMAGES["an output"])
    truncated(path)
    assert run(["verify", "toy.study"]) == 2
    said = capsys.readouterr().out
    assert "toy-int8 in attic" in said
    assert re.search(
        r"[12] of \d+ are damaged or missing; run the same 'quantlab analyze' again", " ".join(said.split())
    )


def test_no_study(tmp_path):
    with pytest.raises(StudyError, match="finished study"):
        verify(tmp_path)
