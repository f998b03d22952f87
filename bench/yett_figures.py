"""Yett's own figures: memory, system calls, routing, reload."""

from __future__ import annotations

from pathlib import Path

from bench import calls, filters, idle, reloading, routing, tokens
from bench.report import Figure
from bench.tools import say


def measure(directory: Path, origin: int, made: tokens.Tokens, *, quick: bool) -> list[Figure]:
    """All of them; `quick` takes a tenth of the requests and connections."""
    share = 10 if quick else 1
    say("memory of idle connections")
    figures = idle.measure(directory, origin, 10_000 // share)
    say("system calls")
    figures += calls.measure(directory, origin, 20_000 // share)
    say("routing")
    figures += routing.measure(directory)
    say("filters")
    figures += filters.measure(directory, origin, made)
    say("reload")
    figures += reloading.measure(directory, origin)
    return figures
