"""Changes of files are noticed, also those that come while one is dealt with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from yett.control import watch


@pytest.fixture(autouse=True)
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not noticed by itself is not found in time either."""
    monkeypatch.setattr(watch, "POLL_MS", 600_000)


class Written:
    """A file that is larger each time it is written."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.size = 0
        file.parent.mkdir(exist_ok=True)
        self.write()

    def write(self) -> None:
        self.size += 1
        self.file.write_text("1" * self.size)

    async def noticed(self, changes: AsyncIterator[None]) -> None:
        """The watch begins with the wait for it: written until it is noticed."""
        found = asyncio.ensure_future(anext(changes))
        while not found.done():
            self.write()
            await asyncio.wait([found], timeout=0.5)
        await found


async def test_a_write_right_after_another_is_seen(tmp_path: Path) -> None:
    written = Written(tmp_path / "gateway.yaml")
    async with contextlib.aclosing(watch.changes(lambda: {written.file})) as changes:
        await anext(changes)
        await written.noticed(changes)
        for _ in range(5):
            written.write()
            await asyncio.wait_for(anext(changes), 30)


async def test_a_file_that_is_new_to_the_set_is_watched(tmp_path: Path) -> None:
    one, other = Written(tmp_path / "one" / "a.yaml"), Written(tmp_path / "other" / "b.yaml")
    files = {one.file}
    async with contextlib.aclosing(watch.changes(lambda: files)) as changes:
        await anext(changes)
        await one.noticed(changes)
        files = {one.file, other.file}
        # Once more, because it may have changed since it was read.
        await asyncio.wait_for(anext(changes), 30)
        await other.noticed(changes)
