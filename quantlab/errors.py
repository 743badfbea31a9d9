"""The exceptions that quantlab raises.

```text
QuantlabError            the base class: invalid input or a failing program; the command line exits with 2
├── ModelError           the model cannot be opened, or quantlab cannot run it
├── SamplesError         the samples cannot be read, or do not fit the model
├── ConversionError      a converter refused the model, crashed or ran out of time
├── ArtifactError        a file to be measured is not valid in its format
├── RuntimeUnavailable   this machine lacks a runtime; the message says how to install it
├── TrialError           a runtime could not run a variant
│   └── MissingOp        the backend lacks an op; --fallback uses another backend
├── StudyError           a study folder is missing, broken, in use or of another model
└── UsageError           an option has an unknown value, or options contradict each other
```

A message has one or two sentences: what happened, what was expected and what to do, with the values.
A wrong argument in a Python call, which the command line cannot pass, raises a plain `ValueError`.
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
    """Invalid input or a failing program; the message says what to do."""


class ModelError(QuantlabError):
    """The model cannot be opened, or quantlab cannot run it."""


class SamplesError(QuantlabError):
    """The samples cannot be read, or do not fit the model."""


class ConversionError(QuantlabError):
    """A converter refused the model, crashed or ran out of time."""


class ArtifactError(QuantlabError):
    """A file to be measured is not valid in its format."""


class RuntimeUnavailable(QuantlabError):
    """A runtime is not installed on this machine; the message says how to install it."""


class TrialError(QuantlabError):
    """A runtime could not run a variant."""


class MissingOp(TrialError):
    """The backend lacks an op of the variant; a slower backend may have it."""


class StudyError(QuantlabError):
    """A study folder is missing, broken, in use or of another model."""


class UsageError(QuantlabError):
    """An option has an unknown value, or options contradict each other."""


def __getattr__(name: str) -> type[QuantlabError]:
    """Return names of an older quantlab, for one version."""
    if name == "CalibrationError":
        warnings.warn("CalibrationError is deprecated; use SamplesError", DeprecationWarning, stacklevel=2)
        return SamplesError
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
