"""A route that lets very large bodies through."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config import units
from yett.policy.linter.context import BODIES, Context
from yett.policy.linter.rule import Hit, Rule, Severity

LARGE = 64 << 20


def check(context: Context) -> Iterator[Hit]:
    """Bodies of more than 64 MiB, and a ceiling above that, which holds nobody back."""
    ceiling = context.gateway.defaults.ceiling.limits.body
    if ceiling and units.size_bytes(ceiling) > LARGE:
        message = (
            f"the ceiling lets every route say up to `{ceiling}`; write the largest body that a route needs"
        )
        yield Hit(("defaults", "ceiling", "limits", "body"), message)
    for policy in context.policies:
        if policy.body_limit > LARGE and BODIES & set(policy.methods) and context.services(policy):
            message = (
                f"a body may have {policy.body_limit >> 20} MiB, and a few clients can fill a disk or a memory with it; "
                "write what is needed, and give large uploads a route of their own"
            )
            yield context.hit(policy, message, "limits")


RULE = Rule(
    id="body-limit-large", severity=Severity.WARNING, title="very large bodies are let through", check=check,
    references=("API4:2023",),
)  # fmt: skip
