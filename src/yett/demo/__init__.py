"""The demo: the shop of `examples/shop`, its token endpoint and the gateway, all on this machine."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot run; the message says what to do."""
