"""Pages in Chromium that load graph-models with the bundles of TensorFlow.js that users load, from files alone."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from playwright.sync_api import Browser, Page, Route, sync_playwright

from quantlab.runtimes.browser import find_browser

__all__ = ["INSTALLED", "Bundles", "open_browser", "opened", "sample_for"]

_SITE = "http://127.0.0.1:9/"
"""Nothing listens there: each request of a page is answered with one of its files."""

_PACKAGES = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "node_modules" / "@tensorflow"


@dataclass(frozen=True, slots=True)
class Bundles:
    """Bundles of one version of TensorFlow.js."""

    tfjs: Path
    """`tf.min.js`, with the backends webgl and cpu."""
    wasm: Path
    """The folder of `tf-backend-wasm.min.js` and its `.wasm` files."""


INSTALLED = Bundles(_PACKAGES / "tfjs" / "dist" / "tf.min.js", _PACKAGES / "tfjs-backend-wasm" / "dist")
"""Those of the version that quantlab bundles."""


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium with software rendering."""
    with sync_playwright() as playwright:
        flags = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        sandboxed = os.geteuid() != 0  # Chromium refuses to start its sandbox as root
        program = find_browser().program
        with playwright.chromium.launch(executable_path=program, args=flags, chromium_sandbox=sandboxed) as browser:
            yield browser


@contextlib.contextmanager
def opened(browser: Browser, bundles: Bundles, models: Mapping[str, Path], html: str | None = None) -> Iterator[Page]:
    """A page with TensorFlow.js, as `tf`.

    Args:
        browser: From `open_browser`.
        bundles: The version.
        models: The folder of each graph-model, by its address.
        html: The page, which loads `tf.min.js`; None for an empty one with the backends webgl, cpu and wasm.
    """
    scripts = ("tf.min.js", "wasm/tf-backend-wasm.min.js")
    text = html or "<!doctype html>" + "".join(f'<script src="{script}"></script>' for script in scripts)
    folders = {**models, "wasm": bundles.wasm}

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(_SITE)
        folder, _, file = name.partition("/")
        path = bundles.tfjs if name == "tf.min.js" else folders.get(folder, Path()) / file
        if not name:
            route.fulfill(body=text, content_type="text/html")
        elif path.is_file():
            route.fulfill(path=path)
        else:
            route.abort()

    with browser.new_context() as context, context.new_page() as page:
        context.route("**/*", answer)
        page.goto(_SITE)
        yield page


def sample_for(folder: Path) -> npt.NDArray[np.float32]:
    """One sample of random values for the only input of a graph-model."""
    signature = json.loads((folder / "model.json").read_text(encoding="utf-8"))["signature"]
    (port,) = signature["inputs"].values()
    shape = [max(int(dim.get("size", 1)), 1) for dim in port["tensorShape"]["dim"]]
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
