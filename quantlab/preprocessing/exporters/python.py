"""Python with NumPy and the decoder of the pipeline, without quantlab."""

import ast
import inspect
from dataclasses import asdict
from pprint import pformat
from types import ModuleType

from quantlab.preprocessing import contract, resampling
from quantlab.preprocessing.exporters.contract import Exporter, fixed_files
from quantlab.preprocessing.registry import RESIZERS
from quantlab.types import Pipeline

__all__ = ["PYTHON"]


def _files(pipeline: Pipeline) -> dict[str, str]:
    resizer = RESIZERS[pipeline.resizer]
    resizing = [contract, resampling, _home(resizer)]
    return {
        **fixed_files("python"),
        "pipeline.py": _constant(pipeline),
        "resizing.py": _merged(resizing) + f"\nRESIZER = {_name_of(resizer)}\n",
        "decoding.py": fixed_files("python-decoding")[f"{pipeline.decoder}.py"],
    }


def _home(member: object) -> ModuleType:
    """The module that defines a member of a family."""
    from quantlab.preprocessing import registry

    modules = [module for module in vars(registry).values() if inspect.ismodule(module)]
    return next(module for module in modules if any(value is member for value in vars(module).values()))


def _name_of(member: object) -> str:
    return next(name for name, value in vars(_home(member)).items() if value is member)


def _merged(modules: list[ModuleType]) -> str:
    """The source of modules in one, without what they import from quantlab."""
    texts = [_standing_alone(inspect.getsource(module)) for module in modules]
    return '"""Copied from quantlab, which tests it against the library that it names."""\n\n' + "\n\n".join(texts)


def _standing_alone(source: str) -> str:
    lines = source.splitlines()
    dropped: set[int] = set()
    for node in ast.parse(source).body:
        own = isinstance(node, ast.ImportFrom) and (node.module or "").startswith("quantlab")
        public = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        if own or public:
            dropped.update(range(node.lineno - 1, node.end_lineno or node.lineno))
    return "\n".join(line for number, line in enumerate(lines) if number not in dropped)


def _constant(pipeline: Pipeline) -> str:
    return (
        '"""The declared preprocessing; export it again with \'quantlab preprocessing export\' to change it."""\n\n'
        f"PIPELINE = {pformat(asdict(pipeline), sort_dicts=False)}\n\n"
        f'PIPELINE_SHA256 = "{pipeline.sha256}"\n"""Hash of the pipeline, which vectors.json must have, too."""\n'
    )


def _tolerance(_: Pipeline) -> float:
    return 0.0


def _differences(_: Pipeline) -> tuple[str, ...]:
    return ()


PYTHON = Exporter(
    title="Python with NumPy",
    files=_files,
    use='from preprocess import preprocess\n\nmodel.predict(preprocess("photo.jpg"))  # a batch of one sample',
    test="pytest",
    tolerance=_tolerance,
    differences=_differences,
)
