"""Configuration: from a file to the document that the data plane reads."""

from __future__ import annotations

from yett.config.compile import Compiled, compile_file, compile_loaded
from yett.config.load import Loaded, load_gateway, load_path

__all__ = ["Compiled", "Loaded", "compile_file", "compile_loaded", "load_gateway", "load_path"]
