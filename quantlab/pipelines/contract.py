"""The contract of pipelines: the steps by which an app turns an image file into the input of a model."""

from collections.abc import Callable
from dataclasses import dataclass

from quantlab.runtimes import Host

__all__ = ["AppPipeline", "AppStep", "StepKey", "StepPlace"]

StepKey = tuple[str, str]
"""Names of a place and of a step: two places may have steps of one name."""


@dataclass(frozen=True, slots=True)
class StepPlace:
    """A program in which steps run."""

    name: str
    """`python`, `node`, `node-sharp` or `chromium`."""
    host: Host
    backend: str
    """The backend of tfjs, in which its resizers compute; empty in Python."""
    environment: Callable[[], dict[str, str]]
    """Versions that pixels depend on, without running anything slow.

    Raises RuntimeUnavailable, which says what to do, if the program is missing on this machine.
    """


@dataclass(frozen=True, slots=True)
class AppStep:
    """A decoder or a resizer of an app, called as apps call it."""

    name: str
    """By which people know it, for example `jpeg-js`."""
    call: str
    """By which the child knows it: `module:function` in Python, a name in JavaScript."""
    library: str
    """The call in the app's code."""
    place: StepPlace
    module: str | None = None
    """Module of an optional package that must be importable."""
    package: str | None = None
    """The package to install if it is not."""

    @property
    def key(self) -> StepKey:
        """By which results are kept."""
        return self.place.name, self.name


@dataclass(frozen=True, slots=True)
class AppPipeline:
    """What an app does to an image file before it scales the values.

    The crop, the padding and the values are those of the declared preprocessing, so that pipelines differ only in what
    libraries do differently.
    """

    name: str
    decoder: AppStep
    resizer: AppStep
    at_once: bool = False
    """Whether the app decodes and resizes in one call of the resizer, which may give other pixels than two steps."""
