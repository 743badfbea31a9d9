"""What `quantlab preprocessing export` writes runs by itself and gives Python's tensors."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from tfjs_pages import INSTALLED, open_browser, opened

from quantlab.errors import UsageError
from quantlab.preprocessing import RESIZERS, pipeline_for
from quantlab.preprocessing.exporters import EXPORTERS, write_export
from quantlab.runtimes.node import find_node
from quantlab.types import Preprocessing, TensorSpec

MODULES = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "node_modules"
COLOURS = TensorSpec("image", (None, 32, 40, 3), "float32")
PIPELINES = {
    "stretch-tf": pipeline_for(Preprocessing(mode="tf"), COLOURS),
    "crop-torch": pipeline_for(
        Preprocessing(mode="torch", aspect="crop", shorter_side=45, resizer="torchvision"), COLOURS
    ),
    "letterbox": pipeline_for(Preprocessing(mode="unit", aspect="pad", pad_value=114, resizer="opencv"), COLOURS),
    "grey": pipeline_for(Preprocessing(resize="none"), TensorSpec("image", (None, 28, 28), "float32")),
    "tfjs-caffe": pipeline_for(
        Preprocessing(mode="caffe", resizer="tfjs", layout="channels-first"),
        TensorSpec("image", (None, 3, 20, 20), "float32"),
    ),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with one folder for each language and pipeline."""
    place = tmp_path_factory.mktemp("exported")
    for language, exporter in EXPORTERS.items():
        for name, pipeline in PIPELINES.items():
            write_export(exporter, pipeline, place / f"{language}+{name}")
    (place / "node_modules").symlink_to(MODULES)
    return place


@pytest.mark.starts_children
def test_node(exported):
    """Every test of the two kinds of JavaScript passes in Node.js."""
    if not MODULES.is_dir():
        pytest.skip("needs the packages of npm, which building quantlab installs")
    program, _ = find_node()
    tests = sorted(str(path) for path in exported.glob("js*/preprocess.test.mjs"))
    assert len(tests) == 2 * len(PIPELINES)
    done = subprocess.run(
        [program, "--test", "--test-reporter=tap", *tests], cwd=exported, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout


@pytest.mark.starts_children
def test_python(exported):
    """Every test passes without quantlab."""
    for name in PIPELINES:
        words = [sys.executable, "-I", "-m", "pytest", "-q", "--rootdir=.", "-p", "no:cacheprovider", "."]
        done = subprocess.run(words, cwd=exported / f"python+{name}", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    sources = [path.read_text() for path in exported.glob("python*/*.py")]
    assert not any(re.search(r"^(import|from) quantlab", source, re.MULTILINE) for source in sources)


_PAGE = """<!doctype html><script src="tf.min.js"></script>"""
_IN_PAGE = """async ({ folder, language }) => {
  const { preprocess } = await import(`/${folder}/preprocess.mjs`);
  const vectors = await (await fetch(`/${folder}/vectors.json`)).json();
  await tf.setBackend('webgl');
  const made = [];
  for (const vector of vectors.vectors) {
    const blob = await (await fetch(`/${folder}/${vector.image}`)).blob();
    let result;
    if (language === 'js') {
      const tensor = preprocess(tf, await createImageBitmap(blob));
      result = { shape: tensor.shape.slice(1), data: Array.from(tensor.dataSync()) };
    } else {
      const { shape, data } = await preprocess(blob);
      result = { shape, data: Array.from(data) };
    }
    made.push(result);
  }
  return { made, backend: tf.getBackend() };
}"""


@pytest.mark.starts_children
def test_chromium(exported):
    """Pictures that the browser decodes become Python's tensors, with a canvas to the last bit."""
    if not MODULES.is_dir():
        pytest.skip("needs the packages of npm, which building quantlab installs")
    folders = {path.name: path for path in exported.iterdir() if path.name.startswith("js")}
    with open_browser() as browser, opened(browser, INSTALLED, folders, html=_PAGE) as page:
        for folder, path in folders.items():
            vectors = json.loads((path / "vectors.json").read_text())
            answer = page.evaluate(_IN_PAGE, {"folder": folder, "language": folder.partition("+")[0]})
            assert answer["backend"] == "webgl"
            for vector, made in zip(vectors["vectors"], answer["made"], strict=True):
                expected = np.fromfile(path / vector["expected"], "<f4")
                assert made["shape"] == vector["shape"]
                np.testing.assert_allclose(
                    np.float32(made["data"]), expected, rtol=0, atol=vectors["tolerance"], err_msg=f"{folder} {vector}"
                )


@pytest.mark.starts_children
def test_vectors_of_another_pipeline_are_refused(exported, tmp_path):
    """The hash in the vectors must be that of the code."""
    write_export(EXPORTERS["js-canvas"], replace(PIPELINES["stretch-tf"], scale=(1 / 255,)), tmp_path / "js")
    (tmp_path / "js" / "vectors.json").write_text((exported / "js-canvas+stretch-tf" / "vectors.json").read_text())
    write_export(EXPORTERS["python"], replace(PIPELINES["stretch-tf"], scale=(1 / 255,)), tmp_path / "python")
    (tmp_path / "python" / "vectors.json").write_text((exported / "python+stretch-tf" / "vectors.json").read_text())
    program, _ = find_node()
    for words, folder in (
        ([program, "--test", "preprocess.test.mjs"], "js"),
        ([sys.executable, "-I", "-m", "pytest", "-q", "--rootdir=.", "-p", "no:cacheprovider", "."], "python"),
    ):
        done = subprocess.run(words, cwd=tmp_path / folder, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "made for another pipeline; export both again" in done.stdout


def test_every_resizer_is_written_for_python():
    """The merged sources stand alone."""
    for name, resizer in RESIZERS.items():
        pipeline = replace(PIPELINES["stretch-tf"], resizer=name, resize=next(iter(resizer.methods)))
        files = EXPORTERS["python"].files(pipeline)
        space = {}
        exec(compile(files["resizing.py"], "resizing.py", "exec"), space)  # noqa: S102 (our own code)
        image = np.arange(9 * 7 * 3, dtype=np.uint8).reshape(9, 7, 3)
        np.testing.assert_array_equal(
            space["RESIZER"].resize(image, (4, 5), pipeline.resize), resizer.resize(image, (4, 5), pipeline.resize)
        )


def test_a_data_type_that_javascript_lacks_is_refused(tmp_path):
    with pytest.raises(UsageError) as refusal:
        write_export(EXPORTERS["js"], replace(PIPELINES["stretch-tf"], dtype="float16"), tmp_path / "out")
    assert str(refusal.value) == (
        "a pipeline of float16 cannot be exported, because not every language has this data type; the ones that all "
        "have are float32, float64, uint8, int8, int32"
    )
    assert not (tmp_path / "out").exists()


# The command


def run(*words, cwd):
    return quantlab_in_process("preprocessing", *words, cwd=cwd)


def test_the_file_of_the_folder_is_read(tmp_path):
    (tmp_path / "quantlab.toml").write_text('[preprocessing]\nsize = "8x6"\nmode = "caffe"\nresizer = "tf"\n')
    done = run("export", "--to", "js-canvas", "--json", cwd=tmp_path)
    assert done.status == 0
    said = json.loads(done.stdout)
    folder = tmp_path / "preprocessing-js-canvas"
    assert said["folder"] == "preprocessing-js-canvas"
    assert said["files"] == sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert json.loads((folder / "vectors.json").read_text())["pipeline_sha256"] == said["pipeline_sha256"]
    assert "preprocessing-js-canvas" in done.stderr


@pytest.mark.parametrize(
    ("language", "told", "written"),
    [
        (
            "kotlin",
            "; add it to your application's project, and test it with './gradlew test'",
            "in the project of your",
        ),
        ("python", "; test it there with 'pytest'", "Run `pytest` in this folder, or add it"),
    ],
)
def test_where_the_test_runs_is_told(language, told, written, tmp_path):
    done = run("export", "--to", language, "--size", "8x6", cwd=tmp_path)
    assert done.last.endswith(told)
    assert written in (tmp_path / f"preprocessing-{language}" / "README.md").read_text()


def test_show(tmp_path):
    done = run("show", "--size", "8x6", "--colour", "grey", "--resize", "none", "--scale", "0.5", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == (
        "1. Decode as `PIL.ImageOps.exif_transpose(PIL.Image.open(file)).convert('RGB')`.\n"
        "2. Grey: `(19595 R + 38470 G + 7471 B + 32768) >> 16`.\n"
        "3. Refuse pictures of another size.\n"
        "4. Multiply by 0.5 and add 0.0, in float64.\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["exprt"], "there is no action 'exprt'; did you mean 'export'?", id="no action"),
        pytest.param(
            ["export", "--to", "rust", "--size", "8x8"],
            "there is no export 'rust'; choose from " + ", ".join(EXPORTERS),
            id="no language",
        ),
        pytest.param(
            ["export", "--size", "8x8"], "name what to write with --to: " + ", ".join(EXPORTERS), id="none named"
        ),
        pytest.param(
            ["export", "--to", "js"],
            "the size of the input is not known; give --size HEIGHTxWIDTH, or the model",
            id="no size",
        ),
        pytest.param(
            ["export", "--to", "js", "--size", "8x8", "--out", "full"],
            "'full' is not empty, and nothing is written over; name another folder with --out",
            id="a full folder",
        ),
        pytest.param(
            ["show", "--size", "8x8", "--to", "js"],
            "--to and --out are for 'quantlab preprocessing export'; leave them out",
            id="options of the other action",
        ),
        pytest.param(
            ["show", "--size", "8x8", "--colour", "grey", "--preprocessing-mode", "caffe"],
            "the mode 'caffe' is for the colour order 'bgr', and 'grey' is given; leave the colour order out",
            id="a mode of colours for grey",
        ),
    ],
)
def test_what_is_refused(words, message, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    done = run(*words, cwd=tmp_path)
    assert (done.status, done.stdout, done.stderr) == (2, "", f"quantlab: {message}\n")
