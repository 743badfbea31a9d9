"""All that quantlab raises on purpose.

```text
QuantlabError            anything from outside that is not as it must be; the command line exits with 2
├── ModelError           a model that cannot be opened, or that quantlab cannot run
├── SamplesError         samples that cannot be read, or that do not fit the model
├── ConversionError      a converter that refused, crashed or ran out of time
├── ArtifactError        a file to be measured that is not what its format asks for
├── RuntimeUnavailable   a runtime that this machine lacks; the message says how to get it
├── TrialError           a runtime that could not run a variant
│   └── MissingOp        its backend lacks an op; --fallback runs it on another
├── StudyError           a study folder that is missing, broken, locked or another model's
└── UsageError           an option that names nothing there is, or options that contradict each other
```

A message is one sentence or two: what happened, what was expected, what to do, with the values in it.
A mistake in a *call* (an argument no user of the command line can give) is a plain `ValueError`.
"""

import warnings

__all__ = [
    "ArtifactError",
    "ConversionError",
    "MissingOp",
    "ModelError",
    "QuantlabError",
    "RuntimeUnavailable",
    "SamplesError",
    "StudyError",
    "TrialError",
    "UsageError",
]


class QuantlabError(Exception):
    """Something outside quantlab is not as it must be; the message says what to do."""


class ModelError(QuantlabError):
    """A model that cannot be opened, or that quantlab cannot run."""


class SamplesError(QuantlabError):
    """Samples that cannot be read, or that do not fit the model."""


class ConversionError(QuantlabError):
    """A converter that refused, crashed or ran out of time."""


class ArtifactError(QuantlabError):
    """A file to be measured that is not what its format asks for."""


class RuntimeUnavailable(QuantlabError):
    """A runtime that this machine lacks; the message says how to get it."""


class TrialError(QuantlabError):
    """A runtime that could not run a variant."""


class MissingOp(TrialError):
    """A backend that lacks an op of the variant, which a slower backend may have."""


class StudyError(QuantlabError):
    """A study folder that is missing, broken, locked or another model's."""


class UsageError(QuantlabError):
    """An option that names nothing there is, or options that contradict each other."""


def __getattr__(name: str) -> type[QuantlabError]:
    """Names of an older quantlab, for one version."""
    if name == "CalibrationError":
        warnings.warn("CalibrationError is deprecated; use SamplesError", DeprecationWarning, stacklevel=2)
        return SamplesError
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
