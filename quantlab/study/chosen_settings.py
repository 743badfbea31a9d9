"""The settings that a study is asked for."""

from collections.abc import Mapping, Sequence

from quantlab.errors import UsageError
from quantlab.names import choose, excerpt
from quantlab.registries import REAL, Registries
from quantlab.runtimes import Runtime
from quantlab.settings import select_settings
from quantlab.study.options import AnalyzeOptions
from quantlab.types import FloatLayer, Setting, TunedFormat, Tuning

__all__ = ["named_alone", "select_runtimes", "settings_for"]


def settings_for(options: AnalyzeOptions, kind: str | None, registries: Registries = REAL) -> tuple[Setting, ...]:
    """The requested settings; without a request the default ones, or all that can be made from this kind of model.

    Without a request, a runtime that is named and runs none of these adds the settings that are made for it alone.

    Raises:
        UsageError: If a name matches nothing, or is that of a tuned setting for which no artifact was found.
    """
    known, layers = registries.settings, [FloatLayer.read(text) for text in options.float_layers]
    if all(layer.half for layer in layers):  # a setting of half floats keeps nothing more
        known = {name: setting for name, setting in known.items() if not (setting.keeps_float and setting.half)}
    tuned = options.tuned.own if options.tuned else ()
    if options.tuned is not None:
        _refuse_not_found(options.settings or (), options.tuned, known)
    settings = select_settings(options.settings, known, keep_float=bool(layers), tuned=tuned)
    if options.settings is None and (added := _of_named_runtimes(options, kind, registries)):
        runtimes = select_runtimes(options.runtimes, registries.runtimes)
        run = [one for one in settings if any(at.runs(registries.formats[one.format]) for at in runtimes)]
        return (*run, *added)
    if options.settings is not None or kind is None or registries.format_of_model(kind) is None:
        return settings
    return tuple(
        setting
        for setting in known.values()
        if registries.takes_unasked(setting, kind)
        and (bool(layers) or not setting.keeps_float)
        and (setting.format in tuned or not setting.tuned)
    )


def select_runtimes(asked: Sequence[str] | None, known: Mapping[str, Runtime]) -> tuple[Runtime, ...]:
    """The runtimes that match names and globs; None selects the default ones.

    Raises:
        UsageError: If a name matches nothing, or is that of a runtime that needs an address and has none, or of one
            that another command runs.
    """
    if asked is None:
        return tuple(runtime for runtime in known.values() if runtime.default)
    names = named_alone(asked)
    for name in sorted(names & known.keys()):
        if (elsewhere := known[name].elsewhere) is not None:
            raise UsageError(elsewhere)
    here = [name for name, runtime in known.items() if runtime.elsewhere is None]
    runtimes = tuple(known[name] for name in choose("runtime", asked, here))
    for runtime in runtimes:
        if runtime.name in names and runtime.at is not None and runtime.address is None:
            raise UsageError(
                f"{runtime.name} needs the address of a server; give it with --serving {_ADDRESS}, or leave "
                f"{runtime.name} out of --runtimes"
            )
    return runtimes


_ADDRESS = "http://HOST:PORT/v1/models/NAME"


def named_alone(asked: Sequence[str] | None) -> set[str]:
    """What was asked for, name by name; a glob is no name of a runtime."""
    return {name.strip() for text in asked or () for name in text.split(",")}


def _of_named_runtimes(options: AnalyzeOptions, kind: str | None, registries: Registries) -> tuple[Setting, ...]:
    """The settings that only their name selects, of formats which a runtime runs that the user named.

    An address names the runtime that is there; a glob names none.
    """
    names = named_alone(options.runtimes)
    runtimes = [
        runtime
        for runtime in registries.runtimes.values()
        if (runtime.name in names and not runtime.default)
        or (runtime.address is not None and (options.runtimes is None or runtime.name in names))
    ]
    return tuple(
        setting
        for setting in registries.settings.values()
        if setting.by_name
        and not setting.keeps_float
        and (kind is None or registries.takes(setting, kind))
        and any(runtime.runs(registries.formats[setting.format]) for runtime in runtimes)
    )


def _refuse_not_found(asked: Sequence[str], tuning: Tuning, known: Mapping[str, Setting]) -> None:
    """Refuse the name of a tuned setting of a format in which no artifact of its own was found."""
    for name in (name.strip() for text in asked for name in text.split(",")):
        setting = known.get(name)
        if setting is None or not setting.tuned or setting.format in tuning.own:
            continue
        decided = tuning.formats.get(setting.format)
        if decided is None:
            others = " and ".join(excerpt(one) for one in tuning.formats) or "no format"
            raise UsageError(
                f"the file of --tuned is of a search in {others}, and decides nothing about {setting.format}; run "
                f"'quantlab tune' with settings of {setting.format}, and give its tune.json"
            )
        chosen = excerpt(decided.chosen)
        raise UsageError(
            f"the file of --tuned holds no tuned artifact of {setting.format}: the search chose the setting "
            f"'{chosen}', {_why(decided)}; make that with --setting {chosen}, or run 'quantlab tune' with another "
            f"budget or more minutes"
        )


def _why(decided: TunedFormat) -> str:
    """Why a setting was chosen."""
    fits = any(one.fits for one in decided.candidates if one.name == decided.chosen)
    return "and found nothing smaller that fits" if fits else "which comes closest to the budget that nothing keeps"
