"""Pipelines of apps: how they are named, what their steps do to photos, and which step is blamed for a difference."""

import json
import os
import struct
import subprocess
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from command_line import quantlab_in_process
from contracts import refuse_absent, refuse_absent_pipeline
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from study_fixtures import read_study

from quantlab.errors import RuntimeUnavailable, SamplesError, UsageError
from quantlab.gate.preprocessing_part import with_preprocessing_part
from quantlab.pipelines import PIPELINES, AppStep, StepPlace, StepRun, Unprepared, chosen_pipelines
from quantlab.pipelines.sharp import PACKAGE
from quantlab.preprocessing import MODES, opened_decoder, pipeline_for, sample_of
from quantlab.processes import ChildDied, ChildPool, ChildStalled, tagged
from quantlab.runtimes import RUNTIMES, Host, Picture
from quantlab.runtimes.node import find_node
from quantlab.runtimes.requests import request_from
from quantlab.samples import KEPT_BYTES
from quantlab.study import read_tuning
from quantlab.study.overlap import sample_hashes, seen_hashes
from quantlab.study.pipelines.app import AppPhotos
from quantlab.study.pipelines.block import DECLARED as DECLARED_STEP
from quantlab.study.pipelines.block import BlockSteps
from quantlab.study.pipelines.fed_reference import fed_warning
from quantlab.study.pipelines.photos import Photos, kinds_of, photos_of
from quantlab.study.pipelines.results import compared
from quantlab.study.pipelines.sums import DifferenceSums, PipelineSums, steps_apart
from quantlab.study.pipelines.swaps import swaps_of
from quantlab.study.pipelines.words import pipelines_headline
from quantlab.types import (
    Budget,
    ComparedPipeline,
    Interval,
    Judgement,
    Loss,
    PhotoFailure,
    PipelineComparison,
    Preprocessing,
    Reproduction,
    Scores,
    SettingVerdict,
    SwappedStep,
    TensorSpec,
    Verdict,
)
from quantlab.types.messages import Done, Prepared

SPEC = TensorSpec("image", (None, 16, 16, 3), "float32")
DECLARED = pipeline_for(Preprocessing(mode="tf"), SPEC)
SIZE = 16


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        pytest.param(["canvas"], ["canvas"], id="a name"),
        pytest.param(["tfjs-node*"], ["tfjs-node", "tfjs-node-half-pixel", "tfjs-node-align-corners"], id="a glob"),
        pytest.param(["opencv:bgr", "canvas"], ["opencv:bgr", "canvas"], id="in the order of the names"),
        pytest.param(["tf:unit:bgr"], ["tf:unit:bgr"], id="two modifiers"),
        pytest.param(["canvas", "canvas"], ["canvas"], id="twice is once"),
        pytest.param(["all"], list(PIPELINES), id="all"),
    ],
)
def test_pipelines_are_named(asked, names):
    assert [one.name for one in chosen_pipelines(asked, PIPELINES)] == names


def test_an_unknown_modifier():
    with pytest.raises(UsageError) as error:
        chosen_pipelines(["tf:units"], PIPELINES)
    assert str(error.value) == (
        "the pipeline 'tf:units' has the modifier 'units', which is neither 'bgr' nor a mode; did you mean 'unit'?"
    )


def test_a_modifier_that_does_not_fit_grey():
    declared = pipeline_for(Preprocessing(), TensorSpec("image", (None, 28, 28, 1), "float32"))
    (one,) = chosen_pipelines(["opencv:bgr"], PIPELINES)
    with pytest.raises(UsageError) as error:
        one.of(declared)
    assert str(error.value) == "the pipeline 'opencv:bgr' turns three channels, and the model's input has one"


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_exists(name):
    for step in (PIPELINES[name].decoder, PIPELINES[name].resizer):
        if step.place.name == "python":
            assert callable(resolve_name(step.call))
        else:
            assert step.place.name in {"node", "node-sharp", "chromium"}


def test_steps_of_one_key_are_one_step():
    """Results are kept by key; only the table of decoders has names without places."""
    steps = [step for app in PIPELINES.values() for step in (app.decoder, app.resizer)]
    assert {step.key: {(one.place.name, one.call) for one in steps if one.key == step.key} for step in steps} == {
        step.key: {(step.place.name, step.call)} for step in steps
    }
    decoders = {app.decoder.key for app in PIPELINES.values()}
    assert len({name for _, name in decoders}) == len(decoders)


@dataclass
class RecordedSteps:
    """Stands for the children: each step gives pixels that tell its place."""

    folder: Path
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, steps, pictures, *, grey):
        assert not grey
        value = {"node": 1, "chromium": 2}[steps[0].place.name]
        self.asked.append(tuple(step.place.name for step in steps))
        return {step.key: [np.full((SIZE, SIZE, 3), value, np.uint8)] * len(pictures) for step in steps}


def apps_of(*names):
    return [PIPELINES[name] for name in names]


def test_a_resizer_runs_in_its_own_place(tmp_path):
    """Node.js and Chromium have resizers of one name."""
    apps, image = apps_of("tfjs-node", "tfjs-default"), np.zeros((30, 40, 3), np.uint8)
    steps = BlockSteps(RecordedSteps(tmp_path), DECLARED, apps)
    keys = [DECLARED_STEP, *(app.decoder.key for app in apps)]
    resized = steps.resize({key: [image + place] for place, key in enumerate(keys)}, [tmp_path / "a.jpg"])
    own = [resized[app.decoder.key, app.resizer.key][0] for app in apps]
    assert [int(pixels.max()) for pixels in own] == [1, 2]
    assert all(len(set(places)) == 1 for places in steps.run.asked)


@dataclass
class SizesAsked:
    """Stands for sharp: notes what it is asked for, and decodes every photo as one of 40×60 pixels."""

    folder: Path
    asked: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)

    def run(self, steps, pictures, *, grey):
        assert not grey
        self.asked += [(step.call, one.shape, one.size) for step in steps for one in pictures]
        return {step.key: [np.zeros((*(one.size or (40, 60)), 3), np.uint8) for one in pictures] for step in steps}


@pytest.mark.parametrize(
    ("preprocessing", "asked"),
    [
        pytest.param({}, [("sharp", (), ()), ("sharp-lanczos3", (), (16, 16))], id="in one call"),
        pytest.param(
            {"aspect": "crop"},
            [("sharp", (), ()), ("sharp-lanczos3", (), (16, 24))],
            id="to the size that is cut afterwards",
        ),
        pytest.param(
            {"central_crop": 0.5},
            [("sharp", (), ()), ("sharp-lanczos3", (20, 30, 3), (16, 16))],
            id="one after the other, where the file is cut first",
        ),
    ],
)
def test_a_library_that_decodes_and_resizes_at_once(preprocessing, asked, tmp_path):
    (photo := tmp_path / "a.jpg").write_bytes(b"photo")
    declared = pipeline_for(Preprocessing(**preprocessing), SPEC)
    (app,) = apps_of("sharp")
    steps = BlockSteps(SizesAsked(tmp_path), declared, [app])
    (image,) = steps.own(app, [photo])
    assert (image.shape, steps.run.asked) == ((SIZE, SIZE, 3), asked)


def test_the_declared_steps_stand_beside_a_call_for_both(tmp_path):
    (photo := tmp_path / "a.jpg").write_bytes(b"photo")
    (app,) = apps_of("sharp")
    steps = BlockSteps(SizesAsked(tmp_path), DECLARED, [app])
    decoded = {key: [np.ones((30, 40, 3), np.uint8)] for key in (DECLARED_STEP, app.decoder.key)}
    resized = steps.resize(decoded, [photo])
    assert steps.run.asked == [("sharp-lanczos3", (), (16, 16)), ("sharp-lanczos3", (30, 40, 3), (16, 16))]
    assert {pair: int(images[0].max()) for pair, images in resized.items()} == {
        (DECLARED_STEP, DECLARED_STEP): 1,
        (app.decoder.key, DECLARED_STEP): 1,
        (DECLARED_STEP, app.resizer.key): 0,
        (app.decoder.key, app.resizer.key): 0,
    }


def test_without_sharp_its_pipelines_say_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NODE_PATH", raising=False)
    apps = apps_of("sharp", "sharp-linear")
    steps = BlockSteps(RecordedSteps(tmp_path), DECLARED, apps)
    steps.check()
    reason = (
        f"the pipelines 'sharp*' run in sharp, and there is none in '{tmp_path}', above it or in NODE_PATH; "
        f"'npm install sharp' in '{tmp_path}' installs it"
    )
    assert [steps.reason(app) for app in apps] == [reason, reason]


def test_samples_by_opencv_depend_on_its_version(tmp_path, monkeypatch):
    (about := tmp_path / "opencv_python_headless-0.1.2.dist-info").mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: opencv-python-headless\nVersion: 0.1.2\n")
    place = PIPELINES["opencv"].decoder.place
    before = place.environment()
    monkeypatch.syspath_prepend(tmp_path)
    assert place.environment() == {**before, "opencv": "0.1.2"}


OWN_CODE = """
const sharp = require('sharp');
const read = (file) => sharp(file).resize(16, 16, { fit: 'fill' }).removeAlpha().raw().toBuffer();
Promise.all(process.argv.slice(1).map(read)).then((all) => process.stdout.write(Buffer.concat(all)));
"""
"""What an app with sharp does."""


@pytest.mark.starts_children
def test_sharp_gives_what_the_code_of_an_app_gives(tmp_path):
    (app,) = apps_of("sharp")
    refuse_absent_pipeline(app)
    odd_files(tmp_path / "odd")
    numbers = np.random.default_rng(3)
    noise = Image.fromarray(numbers.integers(0, 256, (128, 160, 3), dtype=np.uint8))
    noise.save(tmp_path / "odd" / "large.jpg", quality=95, subsampling=0)
    names = ["large.jpg", "plain.jpg", "grey.jpg", "cmyk.jpg", "palette.png", "alpha.png", "turned.jpg", "deep.png"]
    paths = [tmp_path / "odd" / name for name in names]
    done = subprocess.run(
        [find_node()[0], "-e", OWN_CODE, *map(str, paths)],
        env={**os.environ, "NODE_PATH": str(PACKAGE.find()[0].parent)},
        capture_output=True,
        check=True,
    )
    expected = np.frombuffer(done.stdout, np.uint8).reshape(len(paths), SIZE, SIZE, 3)
    with ChildPool(tmp_path, stall_seconds=100) as pool:
        steps = BlockSteps(run := StepRun(pool, tmp_path, {}), DECLARED, [app])
        images = steps.own(app, [*paths, tmp_path / "odd" / "cut-plain.jpg"])
        # In two steps, the resizer gets all pixels of the photo.
        twice = BlockSteps(run, DECLARED, [replace(app, at_once=False)]).own(replace(app, at_once=False), paths[:1])
    for name, image, own in zip(names, images, expected, strict=False):
        np.testing.assert_array_equal(image, own, name)
    assert isinstance(images[-1], Unprepared)
    assert (images[0] != twice[0]).any()
    assert {"sharp", "libvips"} <= set(run.environments["node-sharp"])


def test_a_missing_browser_stops_no_other_place(tmp_path):
    def missing():
        raise RuntimeUnavailable("no Chromium here")

    node, page = apps_of("tfjs-node", "tfjs-default")
    place = replace(page.decoder.place, environment=missing)
    page = replace(page, decoder=replace(page.decoder, place=place), resizer=replace(page.resizer, place=place))
    steps = BlockSteps(RecordedSteps(tmp_path), DECLARED, [node, page])
    steps.check()
    assert [steps.reason(app) for app in (node, page)] == [None, "no Chromium here"]


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        pytest.param("tf", [None, "decode", "resize"], id="other libraries"),
        pytest.param("tf:bgr", [None, "decode", "colour", "resize"], id="the colours turned"),
        pytest.param("tf:unit", [None, "decode", "resize", "values"], id="another scale"),
        pytest.param("tf:tf", [None, "decode", "resize"], id="the declared scale by name"),
        pytest.param("tf:caffe", [None, "decode", "colour", "resize", "values"], id="a mode that turns the colours"),
    ],
)
def test_one_step_is_swapped_at_a_time(name, steps):
    (one,) = chosen_pipelines([name], PIPELINES)
    swaps = swaps_of(one, DECLARED)
    assert [swap.step for swap in swaps] == steps
    own = swaps[0]
    for swap in swaps[1:]:
        changed = {
            "decode": swap.pair[0] != own.pair[0],
            "resize": swap.pair[1] != own.pair[1],
            "colour": swap.pipeline.colour != own.pipeline.colour,
            "values": (swap.pipeline.scale, swap.pipeline.offset) != (own.pipeline.scale, own.pipeline.offset),
        }
        assert [step for step, other in changed.items() if other] == [swap.step]


@given(st.lists(st.floats(-300, 300), min_size=1, max_size=20), st.integers(0, 20))
def test_differences_of_parts_are_those_of_the_whole(values, cut):
    whole, parts = DifferenceSums(), DifferenceSums()
    whole.add(np.array(values))
    for part in (values[:cut], values[cut:]):
        parts.add(np.array(part))
    assert (parts.count, parts.largest) == (whole.count, whole.largest)
    assert parts.total == pytest.approx(whole.total)


def test_one_value_that_is_not_finite_spoils_the_difference():
    sums = DifferenceSums()
    sums.add(np.array([0.0, np.nan]))
    assert (sums.mean, sums.largest) == (np.inf, np.inf)


def test_a_step_is_one_of_255_of_the_declared_pixels():
    pixels = np.array([[[0.0, 10.0, 255.0]]])
    values = pixels / 127.5 - 1
    assert steps_apart(values + 2 / 255, values, DECLARED) == pytest.approx(np.ones((1, 1, 3)))


@pytest.mark.parametrize(
    ("left", "cause"),
    [
        pytest.param({"decode": 4.0, "resize": 0.5}, "resize", id="the step that leaves least"),
        pytest.param({"decode": 5.0, "resize": 6.0}, None, id="no step alone brings it nearer"),
        pytest.param({"decode": 2.5, "resize": 4.0}, "decode", id="half of it"),
        pytest.param({"decode": 2.6, "resize": 4.99}, None, id="less than half of it"),
        pytest.param({"decode": np.inf}, None, id="values that are not finite stay"),
        pytest.param({}, None, id="nothing was swapped"),
    ],
)
def test_the_step_that_is_blamed(left, cause):
    (one,) = chosen_pipelines(["tf"], PIPELINES)
    sums = PipelineSums(photos=1, whole=DifferenceSums(1, 5.0, 5.0))
    sums.swapped = {step: DifferenceSums(1, value, value) for step, value in left.items()}
    row = compared(one, sums, None)
    assert (row.cause, row.mean_steps) == (cause, 5.0)
    assert row.steps == tuple(SwappedStep(step, value) for step, value in left.items())


def comparison(*rows, refused=()):
    return PipelineComparison("m.h5", "photos", "y", "declared", 3, 3, "all", None, rows, (), refused)


def test_the_headline_names_what_could_not_be_run():
    (one,) = chosen_pipelines(["opencv"], PIPELINES)
    row = compared(one, PipelineSums(), "OpenCV is not installed")
    assert pipelines_headline(comparison(row)) == (
        "No pipeline could be compared with the declared preprocessing: OpenCV is not installed"
    )


def row_of(name, mean, largest, *, changed=0, n=100, **rest):
    return ComparedPipeline(
        name, "python", "read", "resize", n=n, mean_steps=mean, max_steps=largest, changed=changed, **rest
    )


FAR = row_of("far", 5.0, 200.0, changed=3, cause="resize")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        pytest.param(
            [row_of("near", 0.45, 1.0000001)],
            "'near' equals the declared preprocessing but for rounding: the mean difference is at most 0.45 of 255. "
            "With it, the float model's class changes for 0 of 100 photos",
            id="only rounding",
        ),
        pytest.param(
            [row_of("near", 0.45, 230.0, cause="decode")],
            "'near' is farthest from the declared preprocessing: 0.45 of 255 on average, 230 at most, most of it by "
            "the decoder. With it, the float model's class changes for 0 of 100 photos",
            id="few pixels that are far off are no rounding",
        ),
        pytest.param(
            [row_of("near", 0.45, 1.0, changed=7), row_of("equal", 0.0, 0.0)],
            "'near' is farthest from the declared preprocessing: 0.45 of 255 on average, 1 at most; no single step "
            "explains most of it. With it, the float model's class changes for 7 of 100 photos. 'equal' is nearest, "
            "with 0 of 255",
            id="changed classes are no rounding",
        ),
        pytest.param(
            [FAR, row_of("costly", 2.0, 90.0, changed=40, cause="decode")],
            "'far' is farthest from the declared preprocessing: 5 of 255 on average, 200 at most, most of it by the "
            "resize. With it, the float model's class changes for 3 of 100 photos. 'costly' changes the answers "
            "most. With it, the float model's class changes for 40 of 100 photos. 'costly' is nearest, with 2 "
            "of 255",
            id="another pipeline has the largest effect",
        ),
        pytest.param(
            [
                row_of("far", 5.0, 200.0, changed=None, output_rms=0.1, cause="resize"),
                row_of("costly", 2.0, 90.0, changed=None, output_rms=0.2, cause="resize"),
            ],
            "'far' is farthest from the declared preprocessing: 5 of 255 on average, 200 at most, most of it by the "
            "resize. With it, the float model's outputs change by 0.1 (RMS). 'costly' changes the answers most. "
            "With it, the float model's outputs change by 0.2 (RMS). 'costly' is nearest, with 2 of 255",
            id="outputs that are no classes",
        ),
        pytest.param(
            [
                row_of(
                    "far",
                    5.0,
                    9.0,
                    changed=2,
                    cause="resize",
                    became_wrong=1,
                    became_right=2,
                    loss_points=-1.0,
                    interval=Interval(-4.0, 1.5, 0.95),
                )
            ],
            "'far' is farthest from the declared preprocessing: 5 of 255 on average, 9 at most, most of it by the "
            "resize. With it, the float model loses −1.00 points of accuracy [−4.00, 1.50]: of 100 photos, 1 became "
            "wrong and 2 right",
            id="a loss",
        ),
    ],
)
def test_the_headline_of_pipelines(rows, sentence):
    assert pipelines_headline(comparison(*rows)) == sentence


def reproduced_by(name, *, mean=1e-6, largest=2e-6, same=100.0, equal=True, named=True):
    family = "" if name == "the declared preprocessing" else "pipeline"
    cause = f"the app reads photos as the pipeline '{name}' does"
    return Reproduction(family, name, None, cause, 100, largest, mean, same, 90, 0, 1e-9, equal, named)


AS_DECLARED = reproduced_by("the declared preprocessing", mean=0.1, largest=0.5, same=94.0, equal=False, named=False)


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        pytest.param(
            [reproduced_by("far"), AS_DECLARED],
            "The app reads photos as the pipeline 'far' does: then its outputs are those of the model, with a largest "
            "difference of 2e-06 instead of 0.5, and the same top-1 on 100.0 % of the photos instead of 94.0 %. It is "
            "5 of 255 from the declared preprocessing on average, most of it by the resize (resize). With it, the "
            "float model's class changes for 3 of 100 photos",
            id="a resize",
        ),
        pytest.param(
            [
                reproduced_by("near", largest=0.03, same=None, equal=False),
                reproduced_by("far", equal=False),
                AS_DECLARED,
            ],
            "The app reads photos as the pipeline 'near' does: then its outputs are nearest to the model's, with a "
            "largest difference of 0.03 instead of 0.5. It is 2 of 255 from the declared preprocessing on average, "
            "most of it by the decoder. With it, the float model's class changes for 0 of 100 photos. These photos do "
            "not tell it apart from 'far'",
            id="a decoder, and another pipeline that is as near",
        ),
        pytest.param(
            [replace(AS_DECLARED, max_abs=1e-7, equal=True), reproduced_by("far", equal=False, named=False)],
            "The app computes what the model does with the declared preprocessing (largest difference 1e-07), so it "
            "reads photos as declared",
            id="as declared",
        ),
        pytest.param(
            [reproduced_by("far", mean=0.09, equal=False, named=False), AS_DECLARED],
            "None of 1 pipeline reproduces the outputs of the app: with the declared preprocessing, the mean "
            "difference is 0.1, and with 'far', the nearest, 0.09. Without --pipelines, --app tries other scales and "
            "orders",
            id="none of them",
        ),
        pytest.param(
            [replace(AS_DECLARED, mean_abs=np.inf, max_abs=np.inf), reproduced_by("far", equal=False, named=False)],
            "The outputs of the app, or those of the model, are NaN or infinite for some photos, so no pipeline "
            "reproduces them; look at these photos first",
            id="outputs that are NaN",
        ),
    ],
)
def test_the_headline_of_an_app(app, sentence):
    found = replace(comparison(FAR, row_of("near", 2.0, 9.0, cause="decode")), app=tuple(app))
    assert pipelines_headline(found) == sentence


NUMBERS = np.random.default_rng(4)
OUTPUTS = NUMBERS.dirichlet(np.ones(5), 40).astype(np.float32)
"""What the model gives with the declared preprocessing."""
OTHER = NUMBERS.dirichlet(np.ones(5), 40).astype(np.float32)
"""What it gives with another."""
ROWS = np.arange(40)


@pytest.mark.parametrize(
    ("app", "pipelines", "named", "first"),
    [
        pytest.param(OTHER, {"it": OTHER, "no": OUTPUTS[::-1]}, ["it"], "it", id="one gives the outputs"),
        pytest.param(OTHER, {"it": OTHER, "twin": OTHER + 1e-5}, ["it", "twin"], "it", id="two give them"),
        pytest.param(OTHER.round(2), {"it": OTHER}, ["it"], "it", id="outputs that the app rounds"),
        pytest.param(OUTPUTS, {"it": OTHER}, [], "the declared preprocessing", id="the declared preprocessing does"),
        pytest.param(OTHER[::-1], {"it": OTHER, "no": OUTPUTS}, [], None, id="none gives them"),
        pytest.param(OTHER, {"it": OTHER[:15]}, [], "it", id="on less than half of the photos"),
        pytest.param(OTHER, {"it": OTHER[:30], "no": OUTPUTS}, ["it"], "it", id="on most of the photos"),
        pytest.param(np.where(ROWS[:, None] == 3, np.nan, OTHER), {"it": OTHER}, [], None, id="a sample that is NaN"),
        pytest.param(OTHER[:5], {"it": OTHER[:5]}, [], "it", id="too few photos to tell"),
    ],
)
def test_which_pipeline_an_app_has(app, pipelines, named, first, tmp_path):
    n = len(app)
    reproducing = AppPhotos(tmp_path / "app.npz", "y", app).opened((5,), classes=True, probabilities=True)
    for start in range(0, n, 16):
        rows = ROWS[start : min(n, start + 16)]
        reproducing.declare(rows, OUTPUTS[rows])
        for name, outputs in pipelines.items():
            if len(own := rows[rows < len(outputs)]):
                reproducing.add(name, own, outputs[own])
    found = reproducing.reproductions()
    assert [one.name for one in found if one.named] == named
    assert first in {None, found[0].name}
    assert {one.name for one in found} == {"the declared preprocessing", *pipelines}
    assert {one.name: one.n for one in found} == {
        "the declared preprocessing": n,
        **{name: min(n, len(outputs)) for name, outputs in pipelines.items()},
    }


def write_photos(folder: Path, *, each: int = 6) -> Path:
    """Noise of 40×30 pixels in three class folders: every resize changes it much."""
    numbers = np.random.default_rng(0)
    for name in "abc":
        (folder / name).mkdir(parents=True)
        for place in range(each):
            pixels = numbers.integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{place}.jpg", quality=95, subsampling=0)
    return folder


def write_model(path: Path) -> Path:
    """Softmax of a random matrix, (n, 16, 16, 3) → (n, 3)."""
    numbers = np.random.default_rng(1)
    weights = onnx.numpy_helper.from_array(numbers.normal(0, 0.3, (SIZE * SIZE * 3, 3)).astype(np.float32), "w")
    nodes = [
        onnx.helper.make_node("Flatten", ["image"], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        onnx.helper.make_node("Softmax", ["logits"], ["classes"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "photos",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", SIZE, SIZE, 3])],
        [onnx.helper.make_tensor_value_info("classes", onnx.TensorProto.FLOAT, ["n", 3])],
        [weights],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def with_right_labels(photos: Path, model: Path, names: str = "abc") -> Path:
    """Move each photo into the folder of the class that the model gives for it with the declared preprocessing."""
    weights = onnx.numpy_helper.to_array(onnx.load(model).graph.initializer[0])
    for path in sorted(photos.glob("*/*.jpg")):
        with opened_decoder(DECLARED) as decode:
            logits = sample_of(DECLARED, path, decode).reshape(-1) @ weights
        path.rename(photos / names[int(logits.argmax())] / f"{path.parent.name}-{path.name}")
    return photos


@pytest.mark.starts_children
def test_the_planted_step_is_named(tmp_path):
    model, photos = write_model(tmp_path / "m.onnx"), write_photos(tmp_path / "photos")
    (photos / "a" / "broken.jpg").write_bytes(b"\xff\xd8 no photo")
    Image.new("RGB", (40, 30), "red").save(photos / "b" / "red.png")
    names = "python-pillow,python-pillow-default,tfjs-node,python-pillow:bgr,python-pillow:unit"
    done = quantlab_in_process(
        *("diagnose", model, "--data", photos, "--preprocessing-mode", "tf", "--pipelines", names, "--json"),
        cwd=tmp_path,
    )
    assert done.status == 0, done.stderr
    found = json.loads(done.stdout)
    rows = {row["name"]: row for row in found["pipelines"]}
    assert {name: row["cause"] for name, row in rows.items()} == {
        "python-pillow": None,
        "python-pillow-default": "resize",
        "tfjs-node": "resize",
        "python-pillow:bgr": "colour",
        "python-pillow:unit": "values",
    }
    equal = rows["python-pillow"]
    assert (equal["n"], equal["mean_steps"], equal["changed"], equal["loss_points"]) == (19, 0.0, 0, 0.0)
    assert {step["left"] for step in rows["python-pillow:bgr"]["steps"] if step["step"] == "colour"} == {0.0}
    assert [one["file"] for one in found["refused"]] == ["a/broken.jpg"]
    assert rows["tfjs-node"]["failures"] == [{"file": "b/red.png", "reason": "jpeg-js decodes JPEG files only"}]
    assert (rows["tfjs-node"]["n"], found["n"], found["available"]) == (18, 19, 20)
    changed = rows["tfjs-node"]
    assert changed["changed"] >= changed["became_wrong"] + changed["became_right"]
    assert changed["loss_points"] == pytest.approx(100 * (changed["became_wrong"] - changed["became_right"]) / 18)


def app_outputs(model: Path, photos: Path, **preprocessing) -> np.ndarray:
    """What an app with another preprocessing gives for the photos, (n, 3)."""
    declared = pipeline_for(Preprocessing(**{"mode": "tf", **preprocessing}), SPEC)
    weights = onnx.numpy_helper.to_array(onnx.load(model).graph.initializer[0])
    with opened_decoder(declared) as decode:
        logits = [sample_of(declared, path, decode).reshape(-1) @ weights for path in sorted(photos.glob("*/*"))]
    powers = np.exp(logits - np.max(logits, axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("preprocessing", "headline"),
    [
        pytest.param(
            {"resizer": "tfjs"},
            "The app reads photos as the pipeline 'tfjs-node' does: then its outputs are nearest to the model's, ",
            id="the default resize of TensorFlow.js",
        ),
        pytest.param(
            {"resize": "bicubic"},
            "The app reads photos as the pipeline 'python-pillow-default' does: then its outputs are those of the "
            "model, ",
            id="the default resize of Pillow",
        ),
        pytest.param({}, "The app computes what the model does with the declared preprocessing ", id="no mistake"),
        pytest.param(
            {"mode": "torch"}, "None of 4 pipelines reproduces the outputs of the app: ", id="another mistake"
        ),
    ],
)
def test_a_resize_that_is_planted_in_an_app_is_named_first(preprocessing, headline, tmp_path):
    model, photos = write_model(tmp_path / "m.onnx"), write_photos(tmp_path / "photos", each=8)
    np.savez(tmp_path / "app.npz", classes=app_outputs(model, photos, **preprocessing))
    done = quantlab_in_process(
        *("diagnose", model, "--data", photos, "--preprocessing-mode", "tf", "--app", "app.npz", "--limit", "20"),
        *("--pipelines", "python-pillow,python-pillow-default,tfjs-node,tfjs-node-align-corners"),
        cwd=tmp_path,
    )
    assert done.status == 0, done.stderr
    first = done.stdout.splitlines()[0]
    assert first.startswith(headline)
    assert ("most of it by the resize (" in first) == ("pipeline '" in headline)


@pytest.mark.starts_children
def test_without_pipelines_a_resize_that_no_convention_explains_points_to_them(tmp_path):
    model, photos = write_model(tmp_path / "m.onnx"), write_photos(tmp_path / "photos")
    np.savez(tmp_path / "app.npz", classes=app_outputs(model, photos, resizer="tfjs"))
    given = ("--data", photos, "--preprocessing-mode", "tf", "--app", "app.npz")
    done = quantlab_in_process("diagnose", model, *given, cwd=tmp_path)
    app, _, labels = done.stdout.splitlines()[0].partition(". ")
    assert app.startswith("None of ")
    assert app.endswith("; --pipelines all tries how apps decode and resize photos")
    assert labels


@pytest.mark.starts_children
def test_outputs_of_an_app_for_other_photos(tmp_path):
    model = write_model(tmp_path / "m.onnx")
    write_photos(tmp_path / "photos", each=1)
    np.savez(tmp_path / "app.npz", classes=np.zeros((2, 3)))
    given = ("--pipelines", "python-pillow", "--app", "app.npz")
    done = quantlab_in_process("diagnose", model, "--data", "photos", *given, cwd=tmp_path)
    told = (
        "quantlab: 'app.npz' holds float64 of shape (2, 3) for the output 'classes', and 'photos' has 3 samples; give "
        "one output for each sample, in their order"
    )
    assert (done.status, done.last) == (2, told)


@pytest.mark.starts_children
@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="conventions"),
        pytest.param(["--pipelines", "python-pillow"], id="pipelines"),
    ],
)
def test_class_folders_are_in_the_order_of_the_names_beside_the_model(tmp_path, options):
    model = write_model(tmp_path / "m.onnx")
    photos = with_right_labels(write_photos(tmp_path / "photos"), model, names="cab")
    (tmp_path / "class_names.txt").write_text("c\na\nb\n")
    done = quantlab_in_process(
        *("diagnose", model, "--data", photos, "--preprocessing-mode", "tf", "--json", *options), cwd=tmp_path
    )
    assert done.status == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["score"] == 100
    if not options:
        assert found["notes"] == [
            (
                f"another resize was not tried: no change of the samples brings back what a resize has lost. 'quantlab "
                f"diagnose {model} --data {photos} --pipelines all', with the same options of preprocessing, compares "
                f"how apps resize these files"
            )
        ]


@pytest.mark.starts_children
@pytest.mark.parametrize("options", [[], ["--pipelines", "python-pillow"]], ids=["conventions", "pipelines"])
def test_names_that_are_given_order_class_folders(tmp_path, options):
    model = write_model(tmp_path / "m.onnx")
    photos = with_right_labels(write_photos(tmp_path / "photos"), model, names="cab")
    given = ("--data", photos, "--preprocessing-mode", "tf", "--class-names", "c,a,b", "--json")
    done = quantlab_in_process("diagnose", model, *given, *options, cwd=tmp_path)
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["score"] == 100


@pytest.mark.parametrize(
    ("given", "data", "sentence"),
    [
        pytest.param(
            ["--class-names", "c,a,b"],
            "x.npz",
            "--class-names gives class folders their order, and 'x.npz' has none; leave it out",
            id="no folder",
        ),
        pytest.param(
            ["--class-names", "c,a,b,d"],
            "photos",
            "--class-names names 4 classes, and 'photos' has 3 class folders; write one name for each, in the order of "
            "the outputs",
            id="another number",
        ),
        pytest.param(
            ["--class-names", "c,x,y"],
            "photos",
            "--class-names has 'c' as class 0, and it is class 2 of the samples; name the class folders in the order "
            "of the outputs with --classes, or correct the names",
            id="a folder at another place among other names",
        ),
        pytest.param(
            ["--class-names", "c,a,b", "--classes", "a,b,c"],
            "photos",
            "--class-names has 'c' as class 0, and it is class 2 of the samples; name the class folders in the order "
            "of the outputs with --classes, or correct the names",
            id="two orders",
        ),
    ],
)
@pytest.mark.parametrize("options", [[], ["--pipelines", "python-pillow"]], ids=["conventions", "pipelines"])
def test_names_that_order_no_class_folders(given, data, sentence, options, tmp_path):
    model = write_model(tmp_path / "m.onnx")
    write_photos(tmp_path / "photos", each=1)
    np.savez(tmp_path / "x.npz", x=np.zeros((4, SIZE, SIZE, 3), np.float32))
    done = quantlab_in_process("diagnose", model, "--data", data, *given, *options, cwd=tmp_path)
    assert (done.status, done.last) == (2, f"quantlab: {sentence}")


@pytest.mark.starts_children
def test_more_class_folders_than_classes(tmp_path):
    photos = write_photos(tmp_path / "photos", each=1)
    (photos / "d").mkdir()
    (photos / "a" / "0.jpg").rename(photos / "d" / "0.jpg")
    done = quantlab_in_process(
        *("diagnose", write_model(tmp_path / "m.onnx"), "--data", photos, "--pipelines", "python-pillow"), cwd=tmp_path
    )
    assert (done.status, done.last) == (
        2,
        "quantlab: the labels go from 1 to 3, but the output 'classes' has 3 classes; number the classes from 0 to 2",
    )


def test_photos_must_be_files(tmp_path):
    with pytest.raises(SamplesError) as error:
        photos_of(str(tmp_path / "x.npz"), classes=None, limit=10, seed=0)
    assert str(error.value) == (
        f"'{tmp_path / 'x.npz'}' is not a folder, and pipelines are compared on image files; give a folder of them"
    )


def test_labels_are_those_of_folders(tmp_path):
    done = quantlab_in_process(
        *("diagnose", write_model(tmp_path / "m.onnx"), "--data", write_photos(tmp_path / "photos", each=1)),
        *("--pipelines", "all", "--labels", "y.txt"),
        cwd=tmp_path,
    )
    assert (done.status, done.last) == (
        2,
        "quantlab: --pipelines compares photos, whose labels are their folders; leave --labels out",
    )


def odd_files(folder: Path) -> dict[str, str]:
    """File → the kind that it is of; written into the folder."""
    folder.mkdir()
    numbers = np.random.default_rng(2)
    pixels = np.repeat(np.repeat(numbers.integers(0, 256, (6, 8, 3), dtype=np.uint8), 5, axis=0), 5, axis=1)
    image = Image.fromarray(pixels)
    turned = Image.Exif()
    turned[274] = 6
    image.save(folder / "plain.jpg")
    image.convert("L").save(folder / "grey.jpg")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.convert("P").save(folder / "palette.png")
    image.convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    image.save(folder / "turned.jpg", exif=turned)
    image.save(folder / "progressive.jpg", progressive=True)
    image.save(folder / "animated.png", save_all=True, append_images=[image.rotate(180)])
    for name in ("plain.jpg", "palette.png"):
        content = (folder / name).read_bytes()
        (folder / f"cut-{name}").write_bytes(content[: len(content) * 2 // 3])
    (folder / "empty.jpg").write_bytes(b"")
    return {
        "plain.jpg": "plain",
        "grey.jpg": "grey",
        "cmyk.jpg": "CMYK",
        "palette.png": "palette",
        "alpha.png": "alpha",
        "turned.jpg": "EXIF orientation",
        "progressive.jpg": "progressive",
        "animated.png": "animated",
        "cut-plain.jpg": "truncated",
        "empty.jpg": "unreadable",
    }


def test_kinds_of_files(tmp_path):
    kinds = odd_files(tmp_path / "odd")
    assert {name: kinds_of(tmp_path / "odd" / name) for name in kinds} == {
        name: (kind,) for name, kind in kinds.items()
    }
    assert kinds_of(tmp_path / "odd" / "deep.png") == ("16 bits, grey",)
    assert kinds_of(tmp_path / "odd" / "cut-palette.png") == ("palette", "truncated")


@pytest.mark.starts_children
def test_unusual_files_cost_only_their_own_rows(tmp_path):
    refuse_absent(RUNTIMES["chromium-webgl"])
    odd_files(tmp_path / "odd")
    done = quantlab_in_process(
        *("diagnose", write_model(tmp_path / "m.onnx"), "--data", tmp_path / "odd"),
        *("--pipelines", "python-pillow,tf,tfjs-node,canvas", "--json"),
        cwd=tmp_path,
    )
    assert done.status == 0, done.stderr
    found = json.loads(done.stdout)
    made = {(row["kind"], row["decoder"]): row for row in found["kinds"]}
    assert {one["file"] for one in found["refused"]} == {"cut-palette.png", "cut-plain.jpg", "deep.png", "empty.jpg"}
    decoders = ("Pillow", "TensorFlow", "jpeg-js", "canvas")
    # Pillow by itself, TensorFlow and jpeg-js leave the picture lying; browsers turn it.
    turned = [made["EXIF orientation", decoder]["other_size"] for decoder in decoders]
    assert turned == [1, 1, 1, 0]
    assert made["CMYK", "canvas"]["mean"] < 3
    assert made["16 bits, grey", "canvas"]["only_here"] == 1
    assert made["grey", ""]["files"] == 1
    assert [made["unreadable", decoder]["failed"] for decoder in decoders] == [1, 1, 1, 1]
    rows = {row["name"]: row for row in found["pipelines"]}
    assert [rows[name]["reason"] for name in rows] == [None] * 4
    assert {one["file"] for one in rows["tfjs-node"]["failures"]} == {"palette.png", "alpha.png", "animated.png"}
    assert rows["tfjs-node"]["failures"][0] == {
        "file": "alpha.png",
        "reason": "jpeg-js decodes JPEG files only",
    }


@pytest.mark.starts_children
def test_the_split_of_a_study_that_is_fed_by_a_pipeline_adds_up(tmp_path):
    model = write_model(tmp_path / "m.onnx")
    photos = with_right_labels(write_photos(tmp_path / "photos", each=40), model)
    command = (
        *("analyze", model, "--data", photos, "--preprocessing-mode", "tf", "--pipeline", "python-pillow-default"),
        *("--settings", "onnx-dynamic", "--runtimes", "python", "--limit", "60", "--no-costs", "--out", "s.study"),
    )
    done = quantlab_in_process(*command, cwd=tmp_path)
    assert done.status == 0, done.stderr
    told = "the samples of the pipeline 'python-pillow-default' change the outputs of the float model itself"
    assert told in done.stdout
    assert "✓ float32 check onnx" in done.stdout
    shown = quantlab_in_process("show", "split", "s.study", "--format", "json", cwd=tmp_path)
    rows = json.loads(shown.stdout)
    assert {row["measure"] for row in rows} == {"points", "rms"}
    for row in rows:
        parts = [row[name] for name in ("preprocessing", "conversion", "quantization", "runtime_part")]
        assert sum(parts) == pytest.approx(row["total"], abs=1e-9)
    (rms,) = (row for row in rows if (row["setting"], row["measure"]) == ("onnx-float32", "rms"))
    assert rms["preprocessing"] > 0
    assert rms["conversion"] == pytest.approx(0, abs=1e-6)
    study = json.loads((tmp_path / "s.study" / "study.json").read_text())
    assert study["samples"]["sha256"] != study["declared"]["sha256"]
    assert study["pipeline"] == "python-pillow-default"
    judged = quantlab_in_process("gate", "s.study", "--max-accuracy-loss", "1pt", cwd=tmp_path)
    (points,) = (row for row in rows if (row["setting"], row["measure"]) == ("onnx-dynamic", "points"))
    assert points["preprocessing"] > 0
    part = f"the pipeline 'python-pillow-default' alone loses {points['preprocessing']:.2f} pt ["
    assert part in " ".join(judged.stdout.split())
    verified = quantlab_in_process("verify", "s.study", cwd=tmp_path)
    assert (verified.status, "of the declared preprocessing" in verified.stdout) == (0, True)
    assert "prepare 60 photos" not in quantlab_in_process(*command, "--no-layers", cwd=tmp_path).stderr
    for photo in photos.rglob("*.jpg"):  # what follows the picture changes no declared sample
        photo.write_bytes(photo.read_bytes() + b"profile")
    assert "prepare 60 photos" in quantlab_in_process(*command, "--no-layers", cwd=tmp_path).stderr


@pytest.mark.starts_children
def test_a_batch_and_a_check_are_fed_by_the_pipeline_of_the_configuration(tmp_path):
    with_right_labels(write_photos(tmp_path / "photos", each=40), write_model(tmp_path / "m.onnx"))
    (tmp_path / "quantlab.toml").write_text(
        '[analyze]\npipeline = "python-pillow-default"\nsettings = ["onnx-dynamic"]\nruntimes = ["python"]\n'
        '[preprocessing]\nmode = "tf"\n'
        '[[model]]\nmodel = "m.onnx"\ndata = "photos"\nno_costs = true\nno_layers = true\n'
    )
    done = quantlab_in_process("batch", cwd=tmp_path)
    assert done.status == 0, done.stderr
    fed = read_study(tmp_path / "m.study")
    assert (fed.pipeline, fed.samples.sha256 == fed.declared.sha256) == ("python-pillow-default", False)
    check = ("check", "m.onnx", "--data", "photos", "--no-layers", "--no-costs", "--max-accuracy-loss", "50pt")
    for more, pipeline in (((), "python-pillow-default"), (("--pipeline", "tf"), "tf")):
        done = quantlab_in_process(*check, *more, cwd=tmp_path)
        assert done.status == 0, done.stderr
        checked = read_study(tmp_path / "m.study")
        assert (checked.pipeline, checked.declared.sha256) == (pipeline, fed.declared.sha256)
        assert (checked.samples.sha256 == fed.samples.sha256) is (pipeline == fed.pipeline)


@pytest.mark.starts_children
def test_a_search_is_fed_by_the_pipeline_and_judged_by_the_declared_samples(tmp_path):
    with_right_labels(write_photos(tmp_path / "photos", each=60), write_model(tmp_path / "m.onnx"))
    done = quantlab_in_process(
        *("tune", "m.onnx", "--data", "photos", "--preprocessing-mode", "tf", "--pipeline", "python-pillow-default"),
        *("--settings", "onnx-dynamic", "--runtimes", "python", "--max-accuracy-loss", "50pt", "--no-layers"),
        *("--no-costs", "--budget-minutes", "0.5"),
        cwd=tmp_path,
    )
    assert done.status == 0, done.stderr
    study, tuning = read_study(tmp_path / "m.study"), read_tuning(tmp_path / "m.study" / "tune.json")
    assert (study.pipeline, study.samples.sha256 == study.declared.sha256) == ("python-pillow-default", False)
    (float32,) = [one for one in tuning.formats["onnx"].candidates if one.name == "onnx-float32"]
    assert float32.loss > 2, "what the pipeline costs is part of each candidate's loss"
    assert tuning.search_sha256 not in {study.search.sha256, study.samples.sha256}
    seen = seen_hashes(tuning.seen)
    assert {digest[:KEPT_BYTES] for digest in sample_hashes(study.search)} < seen, "the declared samples are searched"
    scored = {digest[:KEPT_BYTES] for one in (study.samples, study.declared) for digest in sample_hashes(one)}
    assert not scored & seen
    assert len(list((tmp_path / "m.study" / "samples" / "fed").glob("*.json"))) == 2, "the verdict's are made once"


def loss_of(loss, lower, upper, *, metric="accuracy"):
    return Loss(metric, "higher", "pt", 100, 90.0, 90.0 - loss, loss, lower, upper, 0.95, "exact")


def verdict_on(outcome, loss):
    judgement = Judgement("s", "python", outcome, "the loss is too large", loss=loss)
    return Verdict("study", Budget("1pt"), (SettingVerdict("s", True, 100, (judgement,)),), named=False)


@pytest.mark.parametrize(
    ("outcome", "alone", "reason"),
    [
        pytest.param(
            "breaks",
            loss_of(3.0, 1.0, 5.0),
            "the loss is too large; the pipeline 'canvas' alone loses 3.00 pt [1.00, 5.00], before anything is "
            "converted",
            id="more than the whole",
        ),
        pytest.param("breaks", loss_of(0.0, -2.0, 2.0), "the loss is too large", id="no loss"),
        pytest.param("breaks", loss_of(-0.4, -2.0, 1.0), "the loss is too large", id="a gain by chance"),
        pytest.param("breaks", loss_of(1.0, -np.inf, np.inf), "the loss is too large", id="nothing is known"),
        pytest.param("breaks", loss_of(3.0, 1.0, 5.0, metric="mae"), "the loss is too large", id="another metric"),
        pytest.param("fits", loss_of(3.0, 1.0, 5.0), "the loss is too large", id="a setting that fits"),
    ],
)
def test_the_gate_tells_what_the_pipeline_loses_alone(outcome, alone, reason):
    study = SimpleNamespace(pipeline="canvas")
    told = with_preprocessing_part(verdict_on(outcome, loss_of(2.0, 1.0, 3.0)), study, alone)
    assert [one.reason for one in told.settings[0].judgements] == [reason]


BY_CANVAS = (
    "the samples of the pipeline 'canvas' change the outputs of the float model itself, before anything is converted: "
)


@pytest.mark.parametrize(
    ("scores", "cost"),
    [
        pytest.param(Scores(50, top1_loss_points=0.0, max_abs_error=0.0), None, id="equal outputs"),
        pytest.param(
            Scores(
                6,
                top1_loss_points=0.0,
                top1_loss_interval=Interval(-17.0, 17.0, 0.95),
                max_abs_error=0.1,
                right_to_wrong=0,
                wrong_to_right=0,
            ),
            "without a measurable loss, 0.00 [−17.00, 17.00] points of accuracy (0 became wrong and 0 right of 6 "
            "samples)",
            id="the interval holds 0",
        ),
        pytest.param(
            Scores(200, top1_loss_points=5.0, top1_loss_interval=Interval(2.0, 9.0, 0.95), max_abs_error=0.1),
            "it loses 5.00 [2.00, 9.00] points of accuracy",
            id="a loss",
        ),
        pytest.param(
            Scores(200, mae_loss=0.5, mae_loss_interval=Interval(-0.1, 1.1, 0.95), max_abs_error=0.1),
            "without a measurable loss, 0.50 [−0.10, 1.10] of the MAE",
            id="numbers",
        ),
    ],
)
def test_the_warning_of_a_pipeline(scores, cost):
    told = fed_warning("canvas", scores)
    assert (told or "").partition("; the column")[0] == ("" if cost is None else BY_CANVAS + cost)


@pytest.mark.parametrize("command", ["analyze", "check", "tune"])
def test_a_pipeline_needs_photos(command, tmp_path):
    write_model(tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", x=np.zeros((4, SIZE, SIZE, 3), np.float32))
    budget = () if command == "analyze" else ("--max-accuracy-loss", "1pt")
    done = quantlab_in_process(command, "m.onnx", "--data", "x.npz", "--pipeline", "canvas", *budget, cwd=tmp_path)
    assert (done.status, done.last) == (
        2,
        "quantlab: a pipeline makes samples of photos, and 'x.npz' is no folder; leave --pipeline out",
    )


@pytest.mark.starts_children
def test_nothing_is_left_of_samples_that_a_pipeline_cannot_make(tmp_path):
    model, photos = write_model(tmp_path / "m.onnx"), write_photos(tmp_path / "photos")
    analyze = ("analyze", model, "--data", photos, "--settings", "onnx-dynamic", "--runtimes", "python")
    alone = ("--no-layers", "--no-costs", "--out", "m.study")
    for path in photos.glob("*/*.jpg"):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    for study in (False, True):
        done = quantlab_in_process(*analyze, "--pipeline", "tfjs-node", *alone, cwd=tmp_path)
        assert done.status == 2
        assert done.last.startswith("quantlab: the pipeline 'tfjs-node' gives no sample for 14 photos of ")
        assert done.last.endswith(
            " (jpeg-js decodes JPEG files only); and 11 more; repair or remove them, or see what each decoder does "
            "with them by 'quantlab diagnose --pipelines'"
        )
        assert (tmp_path / "m.study").exists() is study
        assert not study or list((tmp_path / "m.study" / "samples").glob("fed/*")) == []
        quantlab_in_process(*analyze, *alone, cwd=tmp_path)


def test_the_guide_has_every_pipeline():
    guide = Path(__file__).parents[1] / "docs" / "guides" / "diagnosing.md"
    text = guide.read_text(encoding="utf-8").partition("## Photos as apps read them")[2]
    assert [name for name in PIPELINES if f"`{name}`" not in text] == []


def test_the_modes_are_modifiers():
    for mode in MODES:
        (one,) = chosen_pipelines([f"canvas:{mode}"], PIPELINES)
        assert one.of(DECLARED).scale == MODES[mode].scale


@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [
        pytest.param([(40, 30)] * 65, [64, 1], id="small photos"),
        pytest.param([None, None, (40, 30)], [1, 1, 1], id="files that Pillow does not know"),
        pytest.param([(40, 30), (20_000, 20_000), (40, 30)], [1, 1, 1], id="a photo that Pillow refuses"),
    ],
)
def test_photos_that_are_held_at_once(tmp_path, sizes, blocks):
    paths = [tmp_path / f"{place}.png" for place in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        if size is None:
            path.write_bytes(b"unknown")
        else:
            path.write_bytes(head_of_png(*size))
    photos = Photos(tuple(map(str, paths)), tuple(paths), None, len(paths), "all")
    assert [len(block) for block in photos.blocks()] == blocks


def head_of_png(width, height):
    """A file of one row of pixels whose header claims another size: it is small, however large the picture."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(10))
    chunks = [struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in (head, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_files_that_a_pipeline_refuses_are_named():
    (one,) = chosen_pipelines(["tf"], PIPELINES)
    sums = PipelineSums(failures=[PhotoFailure("a.webp", "Unknown image file format")])
    assert compared(one, sums, None).failures == (PhotoFailure("a.webp", "Unknown image file format"),)


# Pictures that end or hang the program


class OnePixel:
    """A child that gives one pixel for each picture, and ends or hangs where the name of the file says so."""

    usable, closed, log = True, False, Path("log")

    def send(self, document):
        self.request = request_from(document)

    def messages(self, stall_seconds):
        Path(self.request.target).write_bytes(b"\x07" * len(self.request.pictures))
        for place, picture in enumerate(self.request.pictures):
            if picture.file == "hangs":
                raise ChildStalled(f"the process sent nothing for {stall_seconds:g} seconds and was ended")
            if picture.file == "dies":
                raise ChildDied("the process was ended by SIGSEGV")
            yield tagged(Prepared(place, "decode", place, (1, 1, 1), "uint8", None))
        yield tagged(Done())

    def close(self): ...

    def end_of_request(self): ...


DIED = "the process ended while it worked on it (the process was ended by SIGSEGV)"
HUNG = "the process ended while it worked on it (the process sent nothing for 9 seconds and was ended)"
LEFT = "not tried, because 3 pictures one after another ended the process"


@pytest.mark.parametrize(
    ("files", "made"),
    [
        pytest.param(["fine", "dies", "fine"], [7, DIED, 7], id="one ends it"),
        pytest.param(["fine", "hangs", "fine"], [7, HUNG, 7], id="one hangs"),
        pytest.param(["hangs", "fine"], [HUNG, 7], id="the first hangs"),
        pytest.param(["fine", "hangs", "dies", "fine", "hangs"], [7, HUNG, DIED, 7, HUNG], id="with others between"),
        pytest.param(["fine", *["hangs"] * 3, "fine", "fine"], [7, HUNG, HUNG, HUNG, LEFT, LEFT], id="too many"),
    ],
)
def test_a_picture_that_ends_or_hangs_the_program_costs_itself(files, made, tmp_path):
    host = Host(lambda *_: "one pixel", lambda *_: OnePixel(), lasting=False)
    step = AppStep("decoder", "decode", "", StepPlace("scripted", host, "", dict))
    with ChildPool(tmp_path, stall_seconds=9) as pool:
        results = StepRun(pool, tmp_path, {}).run([step], [Picture(file, 0, 1) for file in files], grey=False)
    assert [one.reason if isinstance(one, Unprepared) else one.item() for one in results[step.key]] == made
