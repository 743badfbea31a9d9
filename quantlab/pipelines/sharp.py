"""The pipelines of apps in Node.js with sharp, which the user has installed: it is native code of 20 MB."""

from quantlab.pipelines.contract import AppPipeline, AppStep, StepPlace
from quantlab.runtimes import bundle, node
from quantlab.runtimes.npm_packages import NpmPackage

__all__ = ["PACKAGE", "PIPELINES"]

PACKAGE = NpmPackage(
    name="sharp",
    # The first with the kernel 'linear'.
    oldest=(0, 34),
    use="the pipelines 'sharp*' run in",
    remedy="",
    variable="QUANTLAB_SHARP",
)


def _environment() -> dict[str, str]:
    return {"node": node.find_node()[1], "bundle": bundle.bundle_stamp(), "sharp": PACKAGE.find()[1]}


_SHARP = StepPlace("node-sharp", node.host_with(PACKAGE), "sharp", _environment)
_DECODER = AppStep("sharp", "sharp", "sharp(file).removeAlpha().raw().toBuffer()", _SHARP)


def _pipeline(name: str, kernel: str, option: str) -> AppPipeline:
    library = f"sharp(file).resize(width, height, {{ fit: 'fill'{option} }}).removeAlpha().raw().toBuffer()"
    # Called for both, it may decode a JPEG file at a half, a quarter or an eighth of its size.
    return AppPipeline(name, _DECODER, AppStep(f"sharp {kernel}", f"sharp-{kernel}", library, _SHARP), at_once=True)


PIPELINES = (
    _pipeline("sharp", "lanczos3", ""),
    _pipeline("sharp-linear", "linear", ", kernel: 'linear'"),
    _pipeline("sharp-cubic", "cubic", ", kernel: 'cubic'"),
)
"""In the order of the tables; `lanczos3` is what sharp does if it is not told otherwise."""
