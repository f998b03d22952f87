"""Python's search for cycles, where there is nothing to find."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """For work with an end that forms no cycles worth looking for, such as a configuration that is read: walking all of it
    again and again as it grows takes as long as reading it.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
