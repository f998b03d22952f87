"""Yett's own figures: memory, system calls, routing, filters, reload."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from bench import calls, filters, idle, reloading, routing, tokens
from bench.columns import Broken
from bench.report import Figure
from bench.tools import Missing, say

PARTS = ("idle", "calls", "routing", "filters", "reload")


def measure(directory: Path, origin: int, made: tokens.Tokens, wanted: str, *, quick: bool) -> list[Figure]:
    """The wanted parts; `quick` takes a tenth of the requests and connections."""
    share = 10 if quick else 1
    parts: dict[str, Callable[[], list[Figure]]] = {
        "idle": lambda: idle.measure(directory, origin, 10_000 // share),
        "calls": lambda: calls.measure(directory, origin, 20_000 // share),
        "routing": lambda: routing.measure(directory),
        "filters": lambda: filters.measure(directory, origin, made),
        "reload": lambda: reloading.measure(directory, origin),
    }
    if unknown := set(wanted.split(",")) - set(parts):
        raise Missing(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    figures = []
    for name in PARTS:
        if name in wanted.split(","):
            say(name)
            try:
                figures += parts[name]()
            except (Broken, Missing, RuntimeError, OSError, subprocess.SubprocessError) as problem:
                # What else was measured is not lost.
                said = str(problem).splitlines()
                say(f"{name} failed: {problem}")
                figures.append(
                    Figure(f"{name}: not measured", said[0] if said else "failed", "a figure", False)
                )
    return figures
