"""Options in the name of a metric: `cer:blank=0`, `wer:plain,space=3`."""

from collections.abc import Sequence

from quantlab.errors import UsageError

__all__ = ["options_of"]


def options_of(name: str, known: Sequence[str]) -> dict[str, str]:
    """Options after the colon, separated by commas; the value of one without `=` is empty.

    >>> options_of("wer:plain,space=3", ("blank", "plain", "space"))
    {'plain': '', 'space': '3'}
    >>> options_of("cer", ("blank",))
    {}

    Raises:
        UsageError: If an option is not known, or is there twice.
    """
    metric, colon, rest = name.partition(":")
    options: dict[str, str] = {}
    for text in rest.split(",") if colon else []:
        key, _, value = text.partition("=")
        if key not in known or key in options:
            told = f"has '{key}' twice" if key in options else f"has no option '{key}'"
            raise UsageError(f"the metric '{name}' {told}; write {metric} with {' or '.join(known)}, or without")
        options[key] = value
    return options
