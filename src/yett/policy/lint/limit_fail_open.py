"""A limit that counts nobody while its Redis is out of reach."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """`state_loss: fail_open` of a limit."""
    gateway = context.gateway
    for kind, parts in (("groups", gateway.groups), ("routes", gateway.routes)):
        for name, part in parts.items():
            for label, limit in part.rate_limit.items():
                if limit.state_loss == "fail_open":
                    message = (
                        f"whoever can keep Redis from answering has no limit `{label}`; write `state_loss: local` or `refuse`, "
                        "or accept it with a reason"
                    )
                    yield Hit((kind, name, "rate_limit", label, "state_loss"), message)


RULE = Rule(
    id="limit-fail-open", severity=Severity.WARNING, title="a limit counts nobody while Redis does not answer (fail-open)", check=check,
    references=("API4:2023",),
)  # fmt: skip
