"""Notices that a file of the configuration has changed, also through a swapped symbolic link."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

import watchfiles

# A rename, a write and a chmod of one save come within this time.
DEBOUNCE_MS = 100
# Also without a notification (network file systems), files are looked at this often.
POLL_MS = 2000
LONGEST_CHAIN = 40

Fingerprint = frozenset[tuple[str, int, int, int]]


def directories(files: Collection[Path]) -> set[Path]:
    """The directories whose entries decide what the files contain: each file's, and those of all its links."""
    found: set[Path] = set()
    for file in files:
        step = file.absolute()
        for _ in range(LONGEST_CHAIN):
            found.add(step.parent)
            found.add(step.parent.resolve())
            if not step.is_symlink():
                break
            step = step.parent / step.readlink()
        # a ConfigMap: FILE -> ..data/FILE, and `..data`, a link beside FILE, is what is swapped
        found.update(parent.parent for parent in file.absolute().parents if parent.is_symlink())
    return {directory for directory in found if directory.is_dir()}


def fingerprint(files: Collection[Path]) -> Fingerprint:
    """What identifies the content of the files, and which configuration files stand beside them (for includes)."""
    marks: set[tuple[str, int, int, int]] = set()
    for file in files:
        try:
            found = file.stat()
        except OSError:
            marks.add((str(file), 0, 0, 0))
        else:
            marks.add((str(file), found.st_ino, found.st_mtime_ns, found.st_size))
    for directory in {file.absolute().parent for file in files}:
        marks.update((str(path), -1, 0, 0) for path in directory.glob("*.y*ml"))
    return frozenset(marks)


async def changes(files: Callable[[], Collection[Path]]) -> AsyncIterator[None]:
    """Yields once for each settled change; `files` names the ones that the last read used.

    It yields at once when it begins, and again after a change of the set itself, so that no write between reading and
    watching is lost. As long as the set stays, so does the watch: what is written while a change is dealt with is seen at once after it.
    """
    watched = frozenset(files())
    seen = fingerprint(watched)
    yield
    while True:
        watcher = watchfiles.awatch(
            *directories(watched),
            recursive=False,
            debounce=DEBOUNCE_MS,
            step=DEBOUNCE_MS // 4,
            rust_timeout=POLL_MS,
            yield_on_timeout=True,
            watch_filter=None,
        )
        async with contextlib.aclosing(watcher):
            async for _ in watcher:
                now = fingerprint(watched)
                if now != seen:
                    seen = now
                    yield
                if frozenset(files()) != watched:
                    break
        watched = frozenset(files())
        seen = fingerprint(watched)
        yield
