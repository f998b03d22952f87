"""Changes of files are noticed, also those that come while one is dealt with."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from yett.control import watch


@pytest.fixture(autouse=True)
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not noticed by itself is not found in time either."""
    monkeypatch.setattr(watch, "POLL_MS", 600_000)


async def test_a_write_right_after_another_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("0")
    changes = watch.changes(lambda: {file})
    await anext(changes)
    first = asyncio.ensure_future(anext(changes))
    # The watch begins with the wait for it: written until it is noticed.
    size = 0
    while not first.done():
        size += 1
        file.write_text("1" * size)
        await asyncio.wait([first], timeout=0.5)
    for longer in range(1, 6):
        file.write_text("1" * (size + longer))
        await asyncio.wait_for(anext(changes), 30)
    await changes.aclose()  # type: ignore[attr-defined]


async def test_a_file_that_is_new_to_the_set_is_watched(tmp_path: Path) -> None:
    one, other = tmp_path / "one" / "a.yaml", tmp_path / "other" / "b.yaml"
    for file in (one, other):
        file.parent.mkdir()
        file.write_text("0")
    files = {one}
    changes = watch.changes(lambda: files)
    await anext(changes)
    first = asyncio.ensure_future(anext(changes))
    size = 0
    while not first.done():
        size += 1
        one.write_text("1" * size)
        await asyncio.wait([first], timeout=0.5)
    files = {one, other}
    # Once more, because it may have changed since it was read.
    await asyncio.wait_for(anext(changes), 30)
    second = asyncio.ensure_future(anext(changes))
    while not second.done():
        size += 1
        other.write_text("1" * size)
        await asyncio.wait([second], timeout=0.5)
    await changes.aclose()  # type: ignore[attr-defined]
