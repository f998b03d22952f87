"""Files of decision records, read in parts and judged by the engine."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yett.policy.logs import opened

if TYPE_CHECKING:
    from yett.control.source import Loaded

PART = 4 << 20
"""Bytes that the engine gets at once."""

Progress = Callable[[int, int | None], None]
"""Told how many bytes of how many were read; of how many is unknown for standard input and compressed files."""


def replay(
    loaded: Loaded, config: Path, records: list[Path], key: bytes | None, progress: Progress
) -> dict[str, Any]:
    """What became of every record. Lines are numbered through all files, in their order.

    Raises:
        yett.control.source.Refused: the data plane cannot carry the configuration out.
        Unanswerable: a file cannot be read.
    """
    from yett import _core
    from yett.control import source

    try:
        engine = _core.Replay(loaded.ir, loaded.secrets, key)
    except _core.ApplyError as error:
        problems = [{"text": f"{config}: {one['message']}"} for one in json.loads(error.args[0])]
        raise source.Refused(problems) from None
    size = _size(records)
    done = lines = 0
    harmed: list[dict[str, Any]] = []
    for path in records:
        last = b"\n"
        for part in _parts(path):
            if part is None:
                harmed.append(
                    {"line": lines + 1, "what": f"`{path}` is no whole gzip file; nothing is read after this"}
                )
                continue
            engine.feed(part)
            last = part
            lines += part.count(b"\n")
            done += len(part)
            progress(done, size)
        if not last.endswith(b"\n"):
            # what ends with its file does not go on in the next one
            engine.feed(b"\n")
            lines += 1
    found: dict[str, Any] = json.loads(engine.finish())
    found["damaged"] += len(harmed)
    found["damage"] = sorted([*harmed, *found["damage"]], key=lambda one: int(one["line"]))
    return found


def _size(records: list[Path]) -> int | None:
    if any(str(path) == "-" or path.suffix == ".gz" for path in records):
        return None
    try:
        return sum(path.stat().st_size for path in records)
    except OSError:
        return None


def _parts(path: Path) -> Iterator[bytes | None]:
    """What is in a file, part by part. Nothing in place of the rest where a compressed file is cut off or harmed.

    Raises:
        Unanswerable: it cannot be read, or nothing of it.
    """
    held, read = bytearray(), 0
    with opened(path) as file:
        try:
            # no part is lost that was read before the harm
            while part := file.read1(PART):
                held += part
                read += len(part)
                if len(held) >= PART:
                    yield bytes(held)
                    held.clear()
        except (gzip.BadGzipFile, EOFError, zlib.error):
            if not read:
                raise
            yield bytes(held)
            yield None
            return
    if held:
        yield bytes(held)
