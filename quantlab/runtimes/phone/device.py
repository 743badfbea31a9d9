"""What a phone's browser says of itself; all of it is text from outside."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantlab.names import excerpt, without_controls
from quantlab.types import Machine

__all__ = ["Device", "plain"]

_MOST = 200
"""Most characters of a fact."""


@dataclass(frozen=True, slots=True)
class Device:
    """A phone and its browser."""

    user_agent: str
    model: str = ""
    """As the browser tells it, which only Chromium does, and only in a secure context; empty otherwise."""
    system: str = ""
    """The same for name and version of the operating system."""
    renderer: str = ""
    """Name of the graphics processor in WebGL; empty without WebGL 2."""
    renders_float32: bool = False
    """Whether WebGL can render to float32; otherwise tensors are stored in half floats."""
    max_texture_size: int = 0
    """Largest width and height of a WebGL texture; 0 without WebGL 2."""
    webgpu: str = ""
    """Name of the WebGPU adapter; empty if there is none, as in an insecure context."""
    secure: bool = False
    """Whether the page is a secure context: `https`, or `localhost` through `adb reverse`."""
    cores: int = 0
    """As the browser tells it; 0 if it does not."""
    memory_gb: float = 0.0
    """The same, in steps of the browser."""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Device":
        """Read what a page says; what it does not say, or says in another type, counts as not told.

        >>> Device.of({"user_agent": "Mozilla", "cores": "many"})
        Device(user_agent='Mozilla', model='', system='', renderer='', renders_float32=False, max_texture_size=0, \
webgpu='', secure=False, cores=0, memory_gb=0.0)
        """
        return cls(
            user_agent=plain(facts.get("user_agent")) or "not told",
            model=plain(facts.get("model")),
            system=plain(facts.get("system")),
            renderer=plain(facts.get("renderer")),
            renders_float32=facts.get("renders_float32") is True,
            max_texture_size=_count(facts.get("max_texture_size")),
            webgpu=plain(facts.get("webgpu")),
            secure=facts.get("secure") is True,
            cores=_count(facts.get("cores")),
            memory_gb=_gigabytes(facts.get("memory_gb")),
        )

    @property
    def name(self) -> str:
        """The model, or what the browser tells in place of it.

        >>> Device("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15").name
        'iPhone, iPhone OS 18.5'
        >>> Device("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36", model="Pixel 9", system="Android 16").name
        'Pixel 9, Android 16'
        >>> Device("Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36").name
        'Pixel 7, Android 14'
        """
        within = re.search(r"\(([^)]*)\)", self.user_agent)
        parts = [part.strip() for part in within[1].split(";")] if within else []
        model = self.model or next((part for part in parts if part.startswith(("iPhone", "iPad"))), "")
        system = self.system or next((part for part in parts if part.startswith("Android")), "")
        if not model and system in parts[:-1] and parts[-1] != _REDUCED:
            model = parts[parts.index(system) + 1].partition(" Build/")[0]
        if not system and (apple := re.search(r"CPU (iPhone )?OS ([\d_]+)", self.user_agent)):
            system = f"{apple[1] or ''}OS {apple[2].replace('_', '.')}"
        return ", ".join(filter(None, [model, system])) or "device not told"

    @property
    def browser(self) -> str:
        """Name and version of the browser.

        >>> Device("Mozilla/5.0 (Linux; Android 10; K) Chrome/141.0.0.0 Mobile Safari/537.36").browser
        'Chrome 141.0.0.0'
        """
        for pattern, name in _BROWSERS.items():
            if match := re.search(rf"{pattern}/([\d.]+)", self.user_agent):
                return f"{name} {match[1]}"
        return "browser not told"

    @property
    def text(self) -> str:
        """In one line, as for a row's note."""
        graphics = [self.renderer or "no WebGL 2", "" if self.renders_float32 else "half floats in WebGL"]
        return "; ".join(filter(None, [self.name, self.browser, *graphics]))

    @property
    def machine(self) -> Machine:
        """The machine of times that were measured on it."""
        return Machine(f"phone: {self.name}", self.cores or 1, self.browser)

    def environment(self, *, graphics: bool) -> dict[str, str]:
        """What outputs depend on, and those of WebGL and WebGPU besides: kept outputs are found by it."""
        told = {"device": self.name, "user_agent": self.user_agent}
        if not graphics:
            return told
        return {
            **told,
            "device_renderer": self.renderer or "none",
            "device_renders_float32": "yes" if self.renders_float32 else "no",
            "device_max_texture_size": str(self.max_texture_size),
            "device_webgpu": self.webgpu or "none",
        }


_REDUCED = "K"
"""What stands in place of the model in the user agents of newer Chromium."""

_BROWSERS: Mapping[str, str] = {
    "Edg(?:A|iOS)?": "Edge",
    "SamsungBrowser": "Samsung Internet",
    "OPR": "Opera",
    "FxiOS": "Firefox for iOS",
    "Firefox": "Firefox",
    "CriOS": "Chrome for iOS",
    "Chrome": "Chrome",
    "Version": "Safari",
}
"""Pattern in a user agent → name; those that others name besides stand behind them."""


def plain(value: Any, most: int = _MOST) -> str:
    """A text from outside as one short line; empty if it is no text."""
    if not isinstance(value, str):
        return ""
    text = " ".join(without_controls(value[: 4 * most]).encode(errors="replace").decode().split())
    return excerpt(text, most=most)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31 else 0


def _gigabytes(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1 << 20
    return float(value) if known else 0.0
