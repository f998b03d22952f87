"""Configuration: from a file to the document that the data plane reads."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yett.config.compile import Compiled, compile_file, compile_loaded
    from yett.config.load import Loaded, load_gateway, load_path

__all__ = ["Compiled", "Loaded", "compile_file", "compile_loaded", "load_gateway", "load_path"]

_PLACES = {
    "Compiled": "compile",
    "compile_file": "compile",
    "compile_loaded": "compile",
    "Loaded": "load",
    "load_gateway": "load",
    "load_path": "load",
}


def __getattr__(name: str) -> Any:
    """Loaded when asked for: what services import of it needs no model."""
    if name not in _PLACES:
        raise AttributeError(f"module `yett.config` has no attribute `{name}`")
    return getattr(import_module(f"yett.config.{_PLACES[name]}"), name)
