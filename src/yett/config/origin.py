"""Origins of pages (RFC 6454), as browsers write them."""

from __future__ import annotations

import re

from yett.config.match import host_fault

_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?", re.ASCII)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def origin_fault(value: str) -> str | None:
    """What is wrong with an origin, in words."""
    found = _ORIGIN.fullmatch(value)
    if found is None:
        lower = value.lower().rstrip("/")
        hint = f"; write `{lower}`" if lower != value and _ORIGIN.fullmatch(lower) else ""
        return f"`{value}` is not an origin{hint or '; write scheme and host, such as `https://shop.example.com`'}"
    scheme, host, port = found.groups()
    if port == _DEFAULT_PORTS[scheme]:
        return f"browsers leave out the port {port} of {scheme}; write `{scheme}://{host}`"
    if port is not None and not 0 < int(port) <= 65535:
        return f"`{port}` is no port"
    fault = None if host.startswith("[") else host_fault(host)
    return f"`{host}` is not a host: {fault}" if fault else None


def pattern_fault(value: str) -> str | None:
    """What is wrong with `https://*.example.com`, in which the star is exactly one label."""
    scheme, _, rest = value.partition("://")
    if scheme != "https":
        return f"`{value}`: a pattern is for https only, where nobody on the way can answer in its name; write `https://*.example.com`, or the exact origin"
    if not rest.startswith("*."):
        return f"`{value}`: the star is the whole first label, such as `https://*.example.com`"
    fault = origin_fault(f"https://star.{rest[2:]}")
    if fault:
        return fault.replace("star.", "*.")
    name = rest[2:].partition(":")[0]
    if "." not in name or re.fullmatch(r"[0-9.]+", name):
        return f"`{value}` covers more than one site; write one such as `https://*.example.com`"
    return None


def covers(wide: str, origin: str) -> bool:
    """Whether an origin or pattern lets in all that another one does."""
    if wide == origin:
        return True
    scheme, star, rest = wide.partition("*")
    label = origin.removeprefix(scheme).removesuffix(rest)
    return bool(
        star
        and origin.startswith(scheme)
        and origin.endswith(rest)
        and re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label, re.ASCII)
    )
