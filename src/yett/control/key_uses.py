"""When API keys were last used: to the minute, kept over restarts where there is a state directory."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from yett.control.logs import log
from yett.control.plane import Plane

FILE = "key-uses.json"
EVERY_S = 60.0
MAX_BYTES = 64 << 20
FORGET_S = 400 * 86_400
"""Uses that are older are dropped from the file."""

Uses = dict[str, dict[str, int]]


class KeyUses:
    """What the data plane saw, and what the state directory remembers from before."""

    def __init__(self, gateway: Any, plane: Plane) -> None:
        self._gateway = gateway
        self._plane = plane
        self._written: Uses = {}

    async def run(self) -> None:
        """Writes what changed, once a minute and at the end."""
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                await asyncio.to_thread(self.save)
        finally:
            self.save()

    def known(self) -> Uses:
        """Unix seconds of each last use, by provider and id."""
        return merged(read(self._file()), json.loads(self._gateway.key_uses()))

    def save(self) -> None:
        """Writes the file, if there is a state directory and something to say. A failure is logged: it loses no request."""
        file = self._file()
        if file is None:
            return
        uses = self.known()
        if uses == self._written:
            return
        try:
            write(file, uses)
        except OSError as error:
            log().warning("key_uses_not_written", file=str(file), error=error.strerror)
        else:
            self._written = uses

    def _file(self) -> Path | None:
        directory = self._plane.state_directory
        return None if directory is None else directory / FILE


def merged(*parts: Uses) -> Uses:
    """The latest of each."""
    found: Uses = {}
    for part in parts:
        for provider, uses in part.items():
            known = found.setdefault(provider, {})
            for key_id, moment in uses.items():
                known[key_id] = max(known.get(key_id, 0), moment)
    return found


def read(file: Path | None) -> Uses:
    """What a file says; nothing where it is not there or not ours."""
    try:
        if file is None or file.stat().st_size > MAX_BYTES:
            return {}
        found = json.loads(file.read_bytes())
        oldest = time.time() - FORGET_S
        return {
            str(provider): {str(key): int(moment) for key, moment in uses.items() if int(moment) > oldest}
            for provider, uses in found.items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def write(file: Path, uses: Uses) -> None:
    """Whole, or not at all."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            json.dump(uses, out)
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
