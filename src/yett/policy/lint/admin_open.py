"""An admin listener that other machines reach."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.types import is_loopback
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """An address of `admin` that is not of this machine only."""
    admin = context.gateway.admin
    if admin is not None and not is_loopback(admin.address):
        message = (
            "metrics name every route and service to whoever has or guesses the one token; listen on `127.0.0.1`, "
            "or keep the port inside of the network that scrapes it and accept this with that reason"
        )
        yield Hit(("admin", "address"), message)


RULE = Rule(
    id="admin-open", severity=Severity.WARNING, title="the admin listener can be reached from other machines", check=check,
    references=("API8:2023",),
)  # fmt: skip
