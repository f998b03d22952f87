"""Headers that the service sees, changed."""

from __future__ import annotations

from yett.config.headers import HeaderEdits


class RequestHeaders(HeaderEdits):
    """Changes of request headers: first `remove`, then `set`, then `add`."""
