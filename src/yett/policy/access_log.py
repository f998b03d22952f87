"""Access logs, a line at a time: what is damaged is counted, and nothing that a log holds makes memory grow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from yett.policy.logs import opened

MAX_LINE = 1 << 20
"""Bytes of a line; a longer one is damaged."""
PLACES = 5
"""Damaged lines whose places are told."""


class AccessLog:
    """Lines of access logs, in the order in which they are written: JSON, by the ending `.gz` compressed; `-` is standard input."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.paths = tuple(paths)
        self.lines = 0
        self.damaged = 0
        self.places: list[str] = []
        """Of the first damaged ones."""
        self.file = 0
        """Which of the files is being read."""

    def __iter__(self) -> Iterator[tuple[dict[str, Any], datetime]]:
        """Each line, and when its request ended.

        Raises:
            Unanswerable: a log cannot be read.
        """
        for number, path in enumerate(self.paths):
            self.file = number
            with opened(path) as stream:
                yield from self._of(stream, path)

    def _of(self, stream: BufferedIOBase, path: Path) -> Iterator[tuple[dict[str, Any], datetime]]:
        number = 0
        while text := stream.readline(MAX_LINE):
            number += 1
            self.lines += 1
            whole = True
            while not text.endswith(b"\n") and len(text) == MAX_LINE:
                whole, text = False, stream.readline(MAX_LINE)
            try:
                if not whole:
                    raise ValueError
                line = json.loads(text)
                when = datetime.fromisoformat(line["time"])
                if when.tzinfo is None:
                    when = when.replace(tzinfo=UTC)
            except (ValueError, KeyError, TypeError, RecursionError):
                self.damaged += 1
                if len(self.places) < PLACES:
                    self.places.append(f"{path}:{number}")
                continue
            yield line, when
