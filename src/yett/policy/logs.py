"""Logs as they lie about: files, by the ending `.gz` compressed, or standard input."""

from __future__ import annotations

import contextlib
import gzip
import sys
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from yett.policy.engine import Unanswerable


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BufferedIOBase]:
    """The bytes of a log; `-` is standard input, which stays open.

    Raises:
        Unanswerable: it cannot be read, now or while it is read.
    """
    try:
        if str(path) == "-":
            yield cast("BufferedIOBase", sys.stdin.buffer)
            return
        with cast(
            "BufferedIOBase", gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
        ) as stream:
            yield stream
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise Unanswerable(f"`{path}` is no whole gzip file") from None
    except OSError as error:
        raise Unanswerable(f"`{path}` cannot be read: {(error.strerror or 'error').lower()}") from None
