"""The page that runs in a tab, in Chromium: from a drop to the table and its downloads, and without a network."""

import itertools
import json
import os
import re
import shutil

import numpy as np
import onnx
import pytest
from contracts import refuse_absent
from kept import QUANTLAB, kept
from playwright.sync_api import expect
from tab_site import PATIENCE_MS, choose, downloaded, rows_of, run, serve
from test_report_chromium import axe_violations, low_contrasts, wrong_in_looks
from tfjs_graphs import node, text, write

from quantlab.demo import MODEL
from quantlab.runtimes import RUNTIMES
from quantlab.runtimes.browser import find_browser
from quantlab.tab import is_bundled, write_page
from tests.command_line import quantlab_in_process
from tests.tfjs_pages import open_browser

pytestmark = pytest.mark.starts_children


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if not is_bundled():
        pytest.skip("the JavaScript is not bundled; run 'python hatch_build.py'")
    return write_page(tmp_path_factory.mktemp("page") / "site").parent


@pytest.fixture(scope="module")
def address(site):
    with serve(site) as at:
        yield at


@pytest.fixture(scope="module")
def browser():
    refuse_absent(RUNTIMES["chromium-wasm"])
    with open_browser() as running:
        yield running


@pytest.fixture
def page(browser, address):
    """The page, which has said nothing in its console at the end, and loaded nothing from elsewhere."""
    asked, said = [], []
    with browser.new_context() as context, context.new_page() as opened:
        context.on("request", lambda request: asked.append(request.url))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        opened.goto(address)
        yield opened
    assert said == []
    assert [url for url in asked if not url.startswith((address, f"blob:{address}", "data:"))] == []


def give(page, *files):
    page.locator("#files").set_input_files([str(file) for file in files])
    expect(page.locator("#reading")).not_to_contain_text("Reading", timeout=PATIENCE_MS)


@pytest.fixture
def example(page):
    page.click("#example")
    page.wait_for_selector("#run:enabled")
    return page


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The settings of the example's model that the page makes too, as the converter makes them."""
    folder = tmp_path_factory.mktemp("made")
    done = quantlab_in_process("convert", MODEL, "--out", "made", "--settings", "tfjs-*", cwd=folder)
    assert done.status == 0, done.stderr
    return folder / "made"


# From a drop to the table


def shown_figures(records):
    """The cells that the page shows of the rows of `quantlab show --format json`."""
    return [
        [
            row["setting"],
            row["runtime"],
            f"{row['gzip_bytes'] / 1000:.1f}",
            f"{row['top1']:.2f}",
            f"{row['top1_loss_points']:.2f} [{row['top1_loss_points_lower']:.2f}, {row['top1_loss_points_upper']:.2f}]",
            f"{row['right_to_wrong']}/{row['wrong_to_right']}",
            f"{row['agreement']:.2f} [{row['agreement_lower']:.2f}, {row['agreement_upper']:.2f}]",
        ]
        for row in records
    ]


def test_digits_from_a_drop_to_the_table_and_a_study(example, tmp_path):
    choose(example, "setting", "tfjs-uint8", "tfjs-uint8-per-channel")
    run(example)
    study = downloaded(example, "The study", tmp_path)
    done = quantlab_in_process("show", study, "--format", "json", cwd=tmp_path)
    assert done.status == 0, done.stderr
    reference, *records = json.loads(done.stdout)
    first, *rows = rows_of(example)
    assert (first[0], first[3]) == ("reference", f"{reference['top1']:.2f}")
    assert len(rows) >= 4  # each setting in WebAssembly and in WebGL, at least
    assert [[cell.replace("−", "-") for cell in row[:7]] for row in rows] == shown_figures(records)
    claim = r"The smallest setting is tfjs-uint8: 7\.\d\sKB gzipped, 3\d\s% of what was dropped\."
    assert re.fullmatch(claim, example.inner_text(".claim"))
    assert "n = 1,197" in example.inner_text(".evidence")
    assert quantlab_in_process("verify", study, cwd=tmp_path).status == 0


def test_an_artifact_is_the_converters_to_the_last_byte(page, made, tmp_path):
    settings = ("tfjs-float16", "tfjs-uint8", "tfjs-uint16", "tfjs-uint8-per-channel")
    np.savez(tmp_path / "few.npz", x=np.zeros((8, 8, 8, 1), np.float32), y=np.arange(8))
    # Not the example of the page: TensorFlow folds batch norms to other last bits on other processors.
    give(page, *(made / "tfjs-float32").iterdir(), tmp_path / "few.npz")
    page.wait_for_selector("#run:enabled")
    choose(page, "setting", *settings)
    choose(page, "backend", "wasm")
    page.get_by_label("layers:").uncheck()
    run(page)
    for setting in settings:
        ours, theirs = downloaded(page, setting, tmp_path), made / setting
        names = sorted(file.name for file in theirs.iterdir())
        assert sorted(file.name for file in ours.iterdir()) == names
        shards = [name for name in names if name != "model.json"]
        assert [name for name in shards if (ours / name).read_bytes() != (theirs / name).read_bytes()] == []


def test_a_quantized_model_is_measured_as_it_is(example, site, tmp_path):
    choose(example, "setting", "tfjs-uint8")
    choose(example, "backend", "wasm")
    example.get_by_label("layers:").uncheck()
    run(example)
    files = list(downloaded(example, "tfjs-uint8", tmp_path).iterdir())
    example.reload()
    give(example, *files)
    give(example, site / "example" / "digits.npz")
    example.wait_for_selector("#run:enabled")
    settings = example.locator("#choices input[name=setting]:enabled").all()
    assert [box.get_attribute("value") for box in settings] == ["as-given", "tfjs-float32"]
    assert "'model.json' already stores weights in uint8" in example.inner_text("#choices")
    choose(example, "backend", "wasm")
    run(example)
    assert [row[0] for row in rows_of(example)] == ["reference", "as-given", "tfjs-float32"]


def test_the_example_is_that_of_the_demo(made):
    from quantlab import tab
    from quantlab.demo.digits import samples

    places = (tab._PACKAGE / "demo" / "tab", made / "tfjs-float32")
    ours, theirs = (np.fromfile(at / "group1-shard1of1.bin", dtype="<f4") for at in places)
    # TensorFlow folds batch norms with a reciprocal square root that differs between processors: 16 units in the last
    # place were seen.
    np.testing.assert_allclose(ours, theirs, rtol=32 * np.finfo(np.float32).eps, atol=0)
    graphs = [json.loads((at / "model.json").read_text(encoding="utf-8")) for at in places]
    assert graphs[0]["weightsManifest"] == graphs[1]["weightsManifest"]
    with np.load(places[0] / "digits.npz") as held:
        x, y = samples()
        assert np.array_equal(held["x"], x)
        assert np.array_equal(held["y"], y)


@pytest.fixture(scope="session")
def flowers(request, data_folder):
    """The graph-model of the flowers in float32."""
    model = data_folder / "flowers" / "mobilenet_v1_0.25_224_tl.h5"

    def make(folder):
        done = quantlab_in_process("convert", model, "--out", "made", "--settings", "tfjs-float32", cwd=folder)
        assert done.status == 0, done.stderr

    return kept(request, "flowers-tfjs", (__file__, model, *QUANTLAB), make) / "made" / "tfjs-float32"


def test_two_hundred_images_of_folders(page, flowers, data_folder, tmp_path):
    for folder in sorted((data_folder / "flowers" / "images").iterdir()):
        (tmp_path / "photos" / folder.name).mkdir(parents=True)
        for file in sorted(folder.iterdir())[:40]:
            shutil.copy(file, tmp_path / "photos" / folder.name / file.name)
    give(page, *flowers.iterdir())
    page.locator("#folder").set_input_files(tmp_path / "photos")
    page.wait_for_selector("#pictures canvas")
    assert page.inner_text("#missing") == "Choose the range of values of the images."
    assert axe_violations(page) == []
    page.get_by_label("Range of values").select_option("tf")
    choose(page, "setting", "tfjs-uint8", "tfjs-uint8-per-channel")
    choose(page, "backend", "wasm")
    page.get_by_label("layers:").uncheck()
    run(page)
    reference, *rows = rows_of(page)
    assert float(reference[3]) > 70  # of five kinds of flowers
    losses = [float(row[4].split()[0].replace("−", "-")) for row in rows]
    assert losses[0] > 20  # one scale for kernels whose channels differ hundredfold
    assert losses[1] < 5
    assert "The smallest of which the samples show no loss is tfjs-uint8-per-channel" in page.inner_text(".evidence")
    page.wait_for_selector("#changed .card canvas")
    page.set_viewport_size({"width": 390, "height": 844})
    assert 10 < page.locator("#changed .card").count() <= 60
    kinds = page.locator("#changed .kind").all_inner_texts()
    assert kinds == sorted(kinds, key=["✕ became wrong", "✓ became right", "another answer"].index)
    assert page.locator("#changed .card").first.inner_text().split("\n\n")[1].endswith(".jpg")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert axe_violations(page) == []


def test_fashion_as_an_archive(page, converted, data_folder, tmp_path):
    (folder,) = (converted("fashion") / "variants" / "tfjs-float32").iterdir()
    give(page, *(folder / "artifact").iterdir())
    with np.load(data_folder / "fashion-mnist" / "test.npz") as whole:
        np.savez(tmp_path / "test.npz", **{name: whole[name][::10] for name in whole})
    give(page, tmp_path / "test.npz")
    choose(page, "setting", "tfjs-uint8")
    choose(page, "backend", "wasm")
    page.get_by_label("layers:").uncheck()
    run(page)
    reference, row = rows_of(page)
    assert float(reference[3]) > 85
    assert row[:2] == ["tfjs-uint8", "chromium-wasm"]
    assert row[5] != "0/0"


def test_what_is_dropped_while_another_drop_is_read_is_read_after_it(page, site):
    page.evaluate("""
        window.ends = [];
        new MutationObserver(([change]) => {
            const { target: { textContent } } = change;
            if (!textContent) window.ends.push(document.querySelectorAll('#choices input[name=setting]').length);
        }).observe(document.getElementById('reading'), { childList: true });
    """)
    for names in (["model.json", "group1-shard1of1.bin"], ["digits.npz"]):
        page.locator("#files").set_input_files([site / "example" / name for name in names])
    page.wait_for_selector("#run:enabled")
    kinds = page.locator("#found dt").all_inner_texts()
    assert kinds == ["Model", "Samples"]
    expect(page.locator("#reading")).to_be_empty()
    assert min(page.evaluate("window.ends")) > 3  # the settings stand there before a drop counts as read


# Without a network, from a file, and what is said of it


@pytest.fixture(scope="module")
def visited(browser, address):
    """A browser's profile in which the page was loaded once."""
    with browser.new_context() as context, context.new_page() as page:
        page.goto(address)
        page.get_by_text("Works without a network from now on").wait_for(timeout=120_000)
        yield context


@pytest.fixture
def offline(visited, address):
    """The page without a network, after it was loaded with one."""
    visited.set_offline(True)
    with visited.new_page() as page:
        page.goto(address)
        yield page


def test_without_a_network_after_the_first_load(offline):
    offline.click("#example")
    offline.wait_for_selector("#run:enabled")
    choose(offline, "setting", "tfjs-uint8")
    choose(offline, "backend", "wasm")
    run(offline)
    assert rows_of(offline)[1][:2] == ["tfjs-uint8", "chromium-wasm"]
    policy = offline.evaluate("async () => (await fetch('worker.js')).headers.get('Content-Security-Policy')")
    assert "connect-src 'self'" in policy


def write_onnx(file, scale):
    """Logits of two classes from eight numbers."""
    weights = scale * np.random.default_rng(2).normal(size=(8, 2)).astype(np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["rows", "matrix"], ["logits"])],
        "two classes",
        [onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, ["n", 8])],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", 2])],
        [onnx.numpy_helper.from_array(weights, "matrix")],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), file)


def test_a_second_file_is_compared_with_the_first(offline, tmp_path):
    write_onnx(tmp_path / "model.onnx", np.float32(1))
    write_onnx(tmp_path / "other.onnx", np.float32(-1))
    rows = np.random.default_rng(3).normal(size=(40, 8)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", rows=rows, y=np.arange(40) % 2)
    for name in ("model.onnx", "other.onnx", "rows.npz"):
        give(offline, tmp_path / name)
    assert offline.locator("#found dt").all_inner_texts() == ["Model", "Compared with it", "Samples"]
    run(offline)
    reference, same, other = rows_of(offline)
    assert (same[0], same[4]) == ("onnx-float32", "0.00 [−8.76, 8.76]")
    assert (other[0], other[6].split()[0]) == ("other", "0.00")  # every answer is the other one
    assert float(reference[3]) == pytest.approx(100 - float(other[3]), abs=0.01)


def test_a_tflite_file(offline, data_folder, tmp_path):
    inputs = np.random.default_rng(4).random((4, 96, 96, 3), dtype=np.float32)
    np.savez(tmp_path / "photos.npz", x=inputs, y=np.array([0, 1, 1, 0]))
    give(offline, data_folder / "mlperf-tiny" / "vww_96_float.tflite")
    give(offline, tmp_path / "photos.npz")
    run(offline)
    assert [row[0] for row in rows_of(offline)] == ["reference", "tflite-float32"]
    assert offline.inner_text(".claim") == "vww_96_float.tflite runs here."


def test_exactly_the_files_of_the_page_are_kept(offline, site, address):
    urls = offline.evaluate(
        "async () => (await Promise.all((await caches.keys()).map("
        "async (name) => (await (await caches.open(name)).keys()).map(({ url }) => url)))).flat()"
    )
    files = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert {url.removeprefix(address).partition("?")[0] for url in urls} == files - {"sw.js", "files.json"}
    assert len(urls) == len(set(urls))


def test_a_new_version_is_offered_and_replaces_the_old_one(browser, site, tmp_path):
    shutil.copytree(site, tmp_path / "site")
    with serve(tmp_path / "site") as address, browser.new_context() as context, context.new_page() as page:
        page.goto(address)
        page.get_by_text("Works without a network from now on").wait_for(timeout=120_000)
        text = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
        replaced = text.replace("<title>quantlab in a tab", "<title>quantlab in a newer tab")
        _rewrite(tmp_path / "site", "index.html", replaced)
        page.reload()
        page.get_by_role("button", name="Load it").click(timeout=120_000)
        expect(page).to_have_title("quantlab in a newer tab")


def _rewrite(site, name, text):
    """Another version of a file of the page, with its hash in the service worker."""
    import base64
    import hashlib

    (site / name).write_text(text, encoding="utf-8")
    first, _, script = (site / "sw.js").read_text(encoding="utf-8").partition("\n")
    hashes = json.loads(first.removeprefix("self.FILES=").removesuffix(";"))
    hashes[name] = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    (site / "sw.js").write_text(f"self.FILES={json.dumps(hashes)};\n{script}", encoding="utf-8")


def test_opened_as_a_file_it_says_what_to_do(browser, site):
    with browser.new_context() as context, context.new_page() as page:
        page.goto((site / "index.html").as_uri())
        assert "python -m http.server -d site" in page.inner_text("#from-file")
        assert page.is_hidden("#model")
        assert page.evaluate("getComputedStyle(document.body).maxWidth") == "1080px"  # its style sheet is loaded


def test_without_scripts_it_says_so(browser, address):
    with browser.new_context(java_script_enabled=False) as context, context.new_page() as page:
        page.goto(address)
        assert page.locator("noscript p, .stopped:visible").first.inner_text() == (
            "This page needs JavaScript, and it is switched off here."
        )


LOOKS = list(itertools.product((390, 1280), ("light", "dark")))
"""Widths of the page, and colours."""


def test_the_page_is_accessible_and_fits(page):
    assert wrong_in_looks(page, LOOKS, axe_violations) == {}
    page.click("#example")
    page.wait_for_selector("#run:enabled")
    choose(page, "setting", "tfjs-uint8", "tfjs-uint8-per-channel")
    choose(page, "backend", "wasm")
    assert wrong_in_looks(page, LOOKS, axe_violations) == {}
    run(page)
    assert page.evaluate("document.activeElement.id") == "outcome"
    assert wrong_in_looks(page, LOOKS, axe_violations, low_contrasts) == {}


def test_everything_is_done_with_the_keyboard(page):
    names = []
    for _ in range(5):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id"))
    assert names == ["colours", "files", "folder", "example", ""]
    page.focus("#example")
    page.keyboard.press("Enter")
    page.wait_for_selector("#run:enabled")
    expect(page.locator("#run")).to_be_focused()
    choose(page, "setting", "tfjs-uint8")
    choose(page, "backend", "wasm")
    page.focus("#run")
    page.keyboard.press("Enter")
    page.wait_for_selector("#results .claim", timeout=240_000)
    assert page.evaluate("document.activeElement.id") == "outcome"


def test_without_a_graphics_card_only_the_processor_is_offered(browser, address):
    flags = ["--disable-gpu", "--disable-3d-apis", "--disable-software-rasterizer"]
    sandboxed = os.geteuid() != 0  # Chromium refuses to start its sandbox as root
    start = browser.browser_type.launch
    with (
        start(executable_path=find_browser().program, args=flags, chromium_sandbox=sandboxed) as bare,
        bare.new_page() as page,
    ):
        page.goto(address)
        page.click("#example")
        page.wait_for_selector("#run:enabled")
        backends = page.locator("#choices input[name=backend]:checked").all()
        assert [box.get_attribute("value") for box in backends] == ["wasm"]
        assert "This browser offers no graphics card to pages" in page.inner_text("#choices")
        assert "Not here: this browser has no WebGL 2" in page.inner_text("#choices")


# What is dropped is not what is expected


def test_a_folder_without_its_document(page, tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "group1-shard1of1.bin").write_bytes(bytes(64))
    page.locator("#folder").set_input_files(tmp_path / "web")
    page.wait_for_selector("#refused li")
    (refused,) = page.locator("#refused li").all_inner_texts()
    assert refused == (
        "web/group1-shard1of1.bin: It may be a shard of a TensorFlow.js model, whose JSON file is missing; drop the "
        "whole folder, with its model.json."
    )
    expect(page.locator("#reading")).to_have_text("Nothing of this drop can be used.")
    assert page.is_hidden("#plan")


def test_formats_of_others_are_refused_by_name(page, tmp_path):
    for name in ("model.keras", "model.pt", "notes.docx"):
        (tmp_path / name).write_bytes(b"?")
    give(page, *(tmp_path / name for name in ("model.keras", "model.pt", "notes.docx")))
    assert [text.partition(":")[0] for text in page.locator("#refused li").all_inner_texts()] == [
        "model.keras",
        "model.pt",
        "notes.docx",
    ]


def einsum_model(folder):
    """A graph-model whose op TensorFlow.js has on the CPU and on graphics cards, and not in WebAssembly."""
    write(
        folder,
        [node("result", "Einsum", "rows", "matrix", equation={"s": text("ab,bc->ac")[0]}, T=FLOAT)],
        inputs=("rows",),
    )
    document = json.loads((folder / "model.json").read_text())

    def port(name, width):
        sizes = [{"size": "-1"}, {"size": str(width)}]
        return {name: {"name": f"{name}:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": sizes}}}

    document["signature"] = {"inputs": port("rows", 8), "outputs": port("result", 4)}
    (folder / "model.json").write_text(json.dumps(document))


FLOAT = {"type": "DT_FLOAT"}


def test_an_op_that_a_backend_lacks_is_its_row(page, tmp_path):
    einsum_model(tmp_path / "web")
    np.save(tmp_path / "rows.npy", np.random.default_rng(5).normal(size=(20, 8)).astype(np.float32))
    page.locator("#folder").set_input_files(tmp_path / "web")
    page.wait_for_selector("#plan:visible")
    give(page, tmp_path / "rows.npy")
    choose(page, "setting", "tfjs-float16")
    choose(page, "backend", "wasm", "webgl")
    page.get_by_label("layers:").uncheck()
    run(page)
    _, failed, measured = rows_of(page)
    assert failed == ["tfjs-float16", "chromium-wasm", "0.9", "failed: see below"]
    assert measured[:2] == ["tfjs-float16", "chromium-webgl"]
    assert "Einsum" in page.locator("#table .warnings").inner_text()
    assert "in chromium-cpu" in page.inner_text("#table")  # where the reference ran


def test_samples_of_another_shape(example, tmp_path):
    np.savez(tmp_path / "wrong.npz", x=np.zeros((20, 9, 9, 1), np.float32), y=np.zeros(20, np.int64))
    give(example, tmp_path / "wrong.npz")
    example.click("#run")
    expect(example.locator("#missing")).to_contain_text(
        "It could not be run: The input 'image' expects samples of shape (8, 8, 1), but those of"
    )
    assert example.is_enabled("#run")


def test_a_run_is_stopped_and_begun_again(example):
    example.click("#run")
    example.click("#stop")
    example.wait_for_selector("#running", state="hidden")
    assert example.inner_text("#missing") == "Stopped before the reference was measured."
    choose(example, "setting", "tfjs-uint8")
    choose(example, "backend", "wasm")
    run(example)
    assert len(rows_of(example)) == 2


def test_what_is_dropped_with_the_mouse(page):
    page.evaluate(
        """async () => {
          const transfer = new DataTransfer();
          for (const name of ['model.json', 'group1-shard1of1.bin', 'digits.npz']) {
            transfer.items.add(new File([await (await fetch(`example/${name}`)).blob()], name));
          }
          document.getElementById('drop').dispatchEvent(new DragEvent('drop', {
            dataTransfer: transfer, bubbles: true, cancelable: true,
          }));
        }"""
    )
    page.wait_for_selector("#run:enabled")
    assert page.locator("#found dt").all_inner_texts() == ["Model", "Samples"]
