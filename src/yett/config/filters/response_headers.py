"""Headers that the client sees, changed."""

from __future__ import annotations

from yett.config.headers import HeaderEdits


class ResponseHeaders(HeaderEdits):
    """Changes of response headers: first `remove`, then `set`, then `add`."""
