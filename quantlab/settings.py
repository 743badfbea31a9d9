"""The settings there are, as data, and how names and globs choose among them."""

import fnmatch
from collections.abc import Mapping, Sequence

from quantlab.formats import FORMATS
from quantlab.names import choose
from quantlab.types import Setting

__all__ = ["SETTINGS", "select_settings"]

SETTINGS: Mapping[str, Setting] = {
    setting.name: setting for format_ in FORMATS.values() for setting in format_.settings
}
"""Every setting by its name, in the order of the table."""


def select_settings(asked: Sequence[str] | None, settings: Mapping[str, Setting] = SETTINGS) -> tuple[Setting, ...]:
    """The settings that names and globs choose; without any, those that run by default."""
    if asked is None:
        return tuple(setting for setting in settings.values() if setting.default)
    names = choose("setting", asked, list(settings), matches=lambda name, glob: _means(settings[name], glob))
    return tuple(settings[name] for name in names)


def _means(setting: Setting, pattern: str) -> bool:
    """Whether a glob chooses a setting: its format and its scheme by themselves, where it has a dash between them.

    So `tfjs-*` is every graph-model and no layers-model, whose format is `tfjs-layers`.
    """
    parts = pattern.split("-")
    halves = [("-".join(parts[:place]), "-".join(parts[place:])) for place in range(1, len(parts))]
    return (
        fnmatch.fnmatchcase(setting.name, pattern)
        if not halves
        else any(
            fnmatch.fnmatchcase(setting.format, format_glob) and fnmatch.fnmatchcase(setting.scheme, scheme_glob)
            for format_glob, scheme_glob in halves
        )
    )
