"""The resizers of TensorFlow.js, which Node.js and browsers share."""

from quantlab.pipelines.contract import AppStep, StepPlace

__all__ = ["tfjs_resizers"]


def tfjs_resizers(place: StepPlace) -> dict[str, AppStep]:
    """The flags of `tf.image.resizeBilinear` as the end of a pipeline's name → the resizer."""

    def resizer(flags: str, arguments: str, words: str) -> AppStep:
        library = f"tf.image.resizeBilinear(image, [height, width]{arguments})"
        return AppStep(f"resizeBilinear{words}", f"resize-bilinear{flags}", library, place)

    return {
        "": resizer("", "", ""),
        "half-pixel": resizer("-half-pixel", ", false, true", " with halfPixelCenters"),
        "align-corners": resizer("-align-corners", ", true", " with alignCorners"),
    }
