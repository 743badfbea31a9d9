"""What every decoder does with images of unusual kinds; none crashes."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from odd_images import COLOURS, ODD_IMAGES, write_odd_images
from PIL import Image
from tfjs_pages import INSTALLED, open_browser, opened

from quantlab.errors import SamplesError, UsageError
from quantlab.preprocessing import DECODERS, pipeline_for, refuse_absent_decoder
from quantlab.preprocessing.decoders.browser import CANVAS
from quantlab.samples import SampleOptions, open_samples
from quantlab.types import Preprocessing, TensorSpec

SPEC = TensorSpec("image", (None, 8, 12, 3), "float32")
RANDOM = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)
GREY = np.repeat(COLOURS[..., :1], 3, axis=-1)
CLEARED = np.where(np.arange(12)[:, None] < 6, 0, COLOURS)
"""The colours with the transparent half in black."""

EXACT = dict.fromkeys(("alpha", "16 bits", "EXIF orientation", "ICC profile", "animated"), COLOURS)
EXPECTED = {
    "pillow": {**EXACT, "grey": GREY},
    "opencv": {**EXACT, "grey": GREY, "16 bits, grey": GREY},
    "tf": {**EXACT, "grey": GREY, "16 bits, grey": GREY, "EXIF orientation": np.rot90(COLOURS)},
    "canvas": {**EXACT, "grey": GREY, "16 bits, grey": GREY, "alpha": CLEARED},
}
"""Decoder → kind → pixels to the last bit."""
NEAR = {"CMYK": 8, "progressive": 6, "palette": 40}
"""Kind → steps from the colours: JPEG loses some, and 16 colours are few. What the transparent ones become differs."""
REFUSED = {
    "pillow": {"16 bits, grey", "truncated"},
    "opencv": {"truncated"},
    "tf": {"truncated"},
    "canvas": {"truncated"},
}


def check(name, kind, pixels):
    """Compare the pixels of a file, or the error in place of them, with what is known."""
    if kind in REFUSED[name]:
        assert isinstance(pixels, SamplesError | str)
        return
    assert not isinstance(pixels, SamplesError | str), pixels
    if kind in EXPECTED[name]:
        np.testing.assert_array_equal(pixels, EXPECTED[name][kind])
    else:
        opaque = pixels.any(axis=-1, keepdims=True)
        assert opaque.mean() > 0.9
        assert np.max(np.abs(pixels.astype(int) - COLOURS) * opaque) <= NEAR[kind]


def read(decode, file):
    try:
        return decode(file, False)
    except SamplesError as error:
        return error


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_odd_images(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.starts_children) for name in DECODERS])
def decoder(request):
    if request.param == "opencv":
        pytest.importorskip("cv2", reason="needs OpenCV, which quantlab does not depend on")
    with DECODERS[request.param].opened() as decode:
        yield request.param, decode


@pytest.mark.parametrize("kind", ODD_IMAGES)
def test_odd_images(decoder, kind, files):
    name, decode = decoder
    check(name, kind, read(decode, files[kind]))


def test_what_is_no_image(decoder, tmp_path):
    _, decode = decoder
    for name, content in (("empty.png", b""), ("text.png", b"not at all"), ("gone.png", None)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        assert str(read(decode, tmp_path / name)).startswith(("the image '", "TensorFlow could not decode the image '"))


def test_grey(decoder, tmp_path):
    name, decode = decoder
    Image.fromarray(RANDOM).save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png", True), DECODERS[name].grey_of(RANDOM))


def test_greys_equal_their_libraries():
    np.testing.assert_array_equal(DECODERS["pillow"].grey_of(RANDOM)[..., 0], Image.fromarray(RANDOM).convert("L"))
    with np.load(Path(__file__).parent / "fixtures" / "opencv-resize.npz") as kept:  # see `opencv_vectors.py`
        np.testing.assert_array_equal(DECODERS["opencv"].grey_of(RANDOM)[..., 0], kept["grey"])


@pytest.mark.parametrize("name", DECODERS)
def test_every_kind_is_described(name):
    assert list(DECODERS[name].behaviour) == list(ODD_IMAGES) == list(CANVAS)


_IN_PAGE = """async (name) => {
  try {
    const blob = await (await fetch(`/odd/${name}`)).blob();
    const options = { imageOrientation: 'from-image', colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
    const bitmap = await createImageBitmap(blob, options);
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    return { shape: [bitmap.height, bitmap.width, 4], data: Array.from(data) };
  } catch (error) {
    return { error: String(error) };
  }
}"""


@pytest.mark.starts_children
def test_chromium(files):
    with (
        open_browser() as browser,
        opened(browser, INSTALLED, {"odd": files["grey"].parent}, "<!doctype html>") as page,
    ):
        for kind, file in files.items():
            made = page.evaluate(_IN_PAGE, file.name)
            pixels = made.get("error")
            if pixels is None:
                pixels = np.array(made["data"]).reshape(made["shape"])[..., :3]
                if kind == "palette":  # transparent entries are black, as the table says
                    pixels = np.where(pixels.any(axis=-1, keepdims=True), pixels, COLOURS)
            check("canvas", kind, pixels)


# As samples


def opened_samples(folder, **declared):
    options = SampleOptions(preprocessing=Preprocessing(**declared))
    return open_samples(
        str(folder), None, model_inputs=(SPEC,), folder=folder.parent / "study", options=options, calibrate=0
    )[0]


@pytest.mark.starts_children
def test_tensorflow_decodes_the_samples_of_a_study(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(5):
        Image.fromarray(np.roll(COLOURS, number, axis=1)).save(images / f"{number}.png")
    samples = opened_samples(images, decoder="tf")
    expected = np.stack([np.roll(COLOURS, number, axis=1) for number in range(5)])
    np.testing.assert_array_equal(np.load(samples.input_file("image")), expected)
    assert samples.preprocessing == (
        "rgb 8×12, Pillow's bilinear for files of another size; decoded by tf; values 0–255 unchanged"
    )


@pytest.mark.skipif(find_spec("cv2") is not None, reason="OpenCV is installed here")
def test_a_decoder_that_is_not_installed_is_named():
    with pytest.raises(UsageError) as refusal:
        refuse_absent_decoder(pipeline_for(Preprocessing(decoder="opencv"), SPEC))
    assert str(refusal.value) == (
        "the decoder 'opencv' needs the module 'cv2', which is not installed; run 'pip install "
        "opencv-python-headless', or choose another decoder"
    )
