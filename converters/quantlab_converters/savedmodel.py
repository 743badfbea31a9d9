"""SavedModels for a server: a copy of the user's own, or of the one to which a Keras model was exported."""

import shutil
from collections.abc import Iterator

from quantlab.errors import ConversionError
from quantlab.formats.savedmodel.artifact import SERVED, SIGNATURE
from quantlab_converters.contract import ConversionRequest, Converter, FromArtifact, RecipeRequest
from quantlab_converters.new_folder import NEW_FOLDER_IMPORT, new_folder_line

__all__ = ["CONVERTER", "convert"]


def convert(request: ConversionRequest) -> Iterator[str]:
    """See `Converter.convert`; the only scheme is float32, and nothing is changed.

    Raises:
        ConversionError: If the model cannot be copied, for example because the disk is full.
    """
    for scheme, folder in request.schemes.items():
        yield scheme
        try:
            shutil.copytree(request.source, folder / SERVED)
        except (OSError, shutil.Error) as error:
            raise ConversionError(
                f"the SavedModel '{request.source}' cannot be copied to '{folder}' ({error}); make room, or choose "
                f"another --out"
            ) from error
        # A SavedModel may have several signatures, and does not say which one the study is about.
        (folder / SIGNATURE).write_text(f"{request.signature}\n", encoding="utf-8")


def _recipe(request: RecipeRequest) -> str:
    return _PROGRAM.format(
        new_folder_import=NEW_FOLDER_IMPORT,
        new_folder=new_folder_line(request.setting),
        source=str(request.source),
        served=SERVED,
    )


_PROGRAM = """\
import shutil
{new_folder_import}
from pathlib import Path

{new_folder}
print(shutil.copytree({source!r}, Path(folder, {served!r})))
"""


CONVERTER = Converter(
    convert="quantlab_converters.savedmodel:convert",
    packages=("tensorflow",),
    recipe=_recipe,
    from_artifact={"layers-model": FromArtifact((), asked=("float32",))},
)
