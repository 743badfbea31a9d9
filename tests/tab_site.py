"""A served page of `quantlab page`, and what a visitor does on it."""

import contextlib
import functools
import http.server
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page

__all__ = ["PATIENCE_MS", "choose", "downloaded", "rows_of", "run", "serve"]

PATIENCE_MS = 240_000
"""For a run, on a machine that does other things too."""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *_: object) -> None:  # noqa: A002  # the name of the base class
        """Print nothing."""


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder, and give its address; as `python -m http.server` does it."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        # It looks every 0.05 s whether it is to stop, which the end of a test waits for.
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()


def choose(page: Page, name: str, *values: str) -> None:
    """Choose these settings or backends, and no others."""
    page.locator(f"#choices input[name={name}]").first.wait_for()
    boxes = page.locator(f"#choices input[name={name}]:enabled")
    # In one call, for each that asks or touches a box takes a while.
    found = boxes.evaluate_all("boxes => boxes.map(({ value, checked }) => [value, checked])")
    for place, (value, checked) in enumerate(found):
        if checked != (value in values):
            boxes.nth(place).set_checked(value in values)


def run(page: Page) -> None:
    """Press the button, and wait for the results."""
    page.click("#run")
    page.wait_for_selector("#results .claim", timeout=PATIENCE_MS)
    page.wait_for_selector("#running", state="hidden")


def rows_of(page: Page) -> list[list[str]]:
    """The cells of the table, row by row."""
    rows = page.locator("#table tbody tr").all()
    return [[cell.strip() for cell in row.locator("th, td").all_inner_texts()] for row in rows]


def downloaded(page: Page, name: str, folder: Path) -> Path:
    """Download what a button hands out, and unpack it."""
    with page.expect_download() as download:
        page.get_by_role("button", name=name, exact=True).click()
    download.value.save_as(folder / "download.zip")
    with zipfile.ZipFile(folder / "download.zip") as archive:
        archive.extractall(folder / name)
    return folder / name
