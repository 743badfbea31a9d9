"""The pipelines of apps in Node.js without native code: jpeg-js and TensorFlow.js."""

from quantlab.pipelines.contract import AppPipeline, AppStep, StepPlace
from quantlab.pipelines.tfjs_resizers import tfjs_resizers
from quantlab.runtimes import bundle, node

__all__ = ["PIPELINES"]


def _environment() -> dict[str, str]:
    return {"node": node.find_node()[1], "bundle": bundle.bundle_stamp()}


_NODE = StepPlace("node", node.HOST, "cpu", _environment)
_JPEG_JS = AppStep("jpeg-js", "jpeg-js", "jpeg.decode(content, { useTArray: true })", _NODE)

PIPELINES = tuple(
    AppPipeline("-".join(filter(None, ["tfjs-node", flags])), _JPEG_JS, resizer)
    for flags, resizer in tfjs_resizers(_NODE).items()
)
"""In the order of the tables."""
