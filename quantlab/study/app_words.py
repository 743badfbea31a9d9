"""The sentence on what reproduces the outputs of an app, for conventions and for pipelines."""

from quantlab.types import Reproduction

__all__ = ["reproduced"]


def reproduced(best: Reproduction, as_is: Reproduction, *, of: str = "samples") -> str:
    """What the app does, and how near the model then comes to its outputs, without a full stop.

    Args:
        best: What reproduces the outputs.
        as_is: The samples as they are.
        of: What samples are called.
    """
    cause = f"{best.cause[0].upper()}{best.cause[1:]}"
    then = "then its outputs are those of the model" if best.equal else "then its outputs are nearest to the model's"
    told = f"{cause}: {then}, with a largest difference of {best.max_abs:.3g} instead of {as_is.max_abs:.3g}"
    if best.same_top1 is None or as_is.same_top1 is None:
        return told
    return f"{told}, and the same top-1 on {best.same_top1:.1f} % of the {of} instead of {as_is.same_top1:.1f} %"
