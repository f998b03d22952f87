"""Shares of the traffic for other services than the route's own."""

from __future__ import annotations

from yett.config import units
from yett.config.types import Name

Split = dict[Name, units.Share]
"""Services and their shares; the rest goes to `service`. Without `service` the shares add up to 100%."""


def weights(service: str | None, split: Split) -> dict[str, int] | str:
    """Parts of 10,000 by service, or what is wrong."""
    parts = {name: units.share(text) for name, text in split.items()}
    total = sum(parts.values())
    if not parts:
        return "`split` names no service; name one with its share, or leave it out"
    if service is None:
        return (
            parts
            if total == 10_000
            else f"the shares add up to {total / 100:g}%; make it 100%, or name a `service` for the rest"
        )
    if service in parts:
        return f"`{service}` is the route's `service` and takes the rest; leave it out of `split`"
    if total >= 10_000:
        return f"the shares add up to {total / 100:g}% and leave nothing for `{service}`; make them less than 100%"
    return {service: 10_000 - total, **parts}
