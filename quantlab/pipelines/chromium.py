"""The pipelines of pages: canvas alone, and `tf.browser.fromPixels` with the resizers of TensorFlow.js."""

from quantlab.pipelines.contract import AppPipeline, AppStep, StepPlace
from quantlab.pipelines.tfjs_resizers import tfjs_resizers
from quantlab.runtimes import browser, bundle

__all__ = ["PIPELINES"]


def _environment() -> dict[str, str]:
    return {"chromium": browser.find_browser().version, "bundle": bundle.bundle_stamp()}


_PAGE = StepPlace("chromium", browser.HOST, "webgl", _environment)
_CANVAS = AppStep("canvas", "canvas", "context.drawImage(image, 0, 0); context.getImageData(0, 0, w, h)", _PAGE)
_FROM_PIXELS = AppStep("fromPixels", "from-pixels", "tf.browser.fromPixels(image)", _PAGE)


def _draw_image(quality: str) -> AppStep:
    library = f"context.imageSmoothingQuality = '{quality}'; context.drawImage(image, 0, 0, width, height)"
    return AppStep(f"drawImage, {quality} smoothing", f"draw-image-{quality}", library, _PAGE)


PIPELINES = (
    AppPipeline("canvas", _CANVAS, _draw_image("low")),
    AppPipeline("canvas-medium", _CANVAS, _draw_image("medium")),
    AppPipeline("canvas-high", _CANVAS, _draw_image("high")),
    *(
        AppPipeline(f"tfjs-{flags or 'default'}", _FROM_PIXELS, resizer)
        for flags, resizer in tfjs_resizers(_PAGE).items()
    ),
)
"""In the order of the tables; `low` is what a canvas does if it is not told otherwise."""
