"""A route whose requests may take forever."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MESSAGE = (
    "a request may take as long as it likes, as long as something moves; write `timeouts: {total: 30s}` here or in `defaults`, "
    "or `total: 0s` where a stream is meant to go on"
)


def check(context: Context) -> Iterator[Hit]:
    """Routes that forward, where neither they, their group nor `defaults` say `timeouts.total`."""
    if "total" in context.gateway.defaults.timeouts.model_fields_set:
        return
    for policy in context.policies:
        group = context.group(policy)
        timeouts = [context.route(policy).timeouts, *([group.timeouts] if group else [])]
        said = any("total" in part.model_fields_set for part in timeouts)
        if not said and context.services(policy) and policy.websocket is None:
            yield context.hit(
                policy, MESSAGE, severity=Severity.WARNING if context.production else Severity.INFO
            )


RULE = Rule(
    id="timeout-missing", severity=Severity.WARNING, title="nothing bounds how long a request may take", check=check,
    references=("API4:2023", "SP 800-204 4.5"),
)  # fmt: skip
