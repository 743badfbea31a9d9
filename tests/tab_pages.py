"""A page in Chromium with the modules of the page that runs in a tab, to call them from a test."""

import contextlib
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page

from quantlab.runtimes.bundle import DIST
from quantlab.runtimes.node import find_node

__all__ = ["bundle_tab", "open_tab", "run_node"]

JS = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js"

_BUNDLE = """
import { build } from 'esbuild';
const [folder, ...names] = process.argv.slice(1);
const contents = names.map((name) => `export * from './tab/${name}.mjs';`).join(' ');
await build({
  absWorkingDir: JS, stdin: { contents, resolveDir: JS, sourcefile: 'tab' },
  bundle: true, format: 'esm', outfile: `${folder}/tab.js`, target: 'es2022',
});
await build({
  absWorkingDir: JS, entryPoints: ['tab/worker.mjs'], bundle: true, format: 'esm', splitting: true, outdir: folder,
  mainFields: ['module', 'main'], target: 'es2022', platform: 'browser',
});
"""


def run_node(script: str, given: str = "") -> str:
    """What a module prints that reads `given`; it may import what the modules of JavaScript import."""
    program, _ = find_node()
    done = subprocess.run(
        [program, "--input-type=module", "--eval", script],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        cwd=JS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def bundle_tab(folder: Path, *names: str) -> None:
    """Write a page, the worker, and `tab.js` with what some modules of `tab/` export."""
    program, _ = find_node()
    script = _BUNDLE.replace("JS", json.dumps(str(JS)))
    done = subprocess.run(
        [program, "--input-type=module", "--eval", script, "--", str(folder), *names],
        capture_output=True,
        text=True,
        check=False,
        cwd=JS,
    )
    assert done.returncode == 0, done.stderr
    for path in (*DIST.glob("*.wasm"), DIST / "litert"):
        target = folder / path.name
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
    (folder / "index.html").write_text(
        '<!doctype html><script type="module">import * as tab from "./tab.js"; window.tab = tab;</script>',
        encoding="utf-8",
    )


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 (the name of the base class)
        """Print nothing."""


@contextlib.contextmanager
def open_tab(browser: Browser, folder: Path) -> Iterator[Page]:
    """A page of a folder, whose modules are in `window.tab`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: _Quiet(*given, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with browser.new_context() as context, context.new_page() as page:
            page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
            page.wait_for_function("window.tab")
            yield page
    finally:
        server.shutdown()
        server.server_close()
