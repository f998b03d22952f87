"""Addresses that the gateway asks itself, or compares."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator

from yett.config.base import refuse
from yett.config.types import forbidden_host


def url_fault(value: Any) -> str | None:
    """Why this is not an address that may be fetched or compared, or nothing."""
    if not isinstance(value, str) or re.search(r"[\x00-\x20\x7f\\]", value):
        return "write an address such as `https://id.example.com`"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return f"`{value}` is not an address; write one such as `https://id.example.com`"
    if parts.scheme not in {"https", "http"} or not parts.hostname or port == 0:
        return f"`{value}` is not an address; write one such as `https://id.example.com`"
    if parts.username is not None or parts.password is not None:
        return "an address carries no user or password; remove them"
    if parts.fragment:
        return f"`{value}` has a fragment; remove what follows `#`"
    return None


def _url(value: Any) -> Any:
    fault = url_fault(value)
    if fault:
        raise refuse("url_invalid", fault)
    host = urlsplit(value).hostname or ""
    why = forbidden_host(host)
    if why:
        raise refuse("address_forbidden", f"`{host}` {why}; it is never contacted")
    return value


Url = Annotated[str, BeforeValidator(_url)]
"""An address that is contacted: `https://…`, or `http://…` where a reason is given beside it."""
