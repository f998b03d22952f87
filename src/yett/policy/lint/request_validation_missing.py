"""A route that takes bodies, and nobody says what they have to be."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import BODIES, Context
from yett.policy.linter.rule import Hit, Rule, Severity

MESSAGE = (
    "bodies go to the service as they come, whatever they are; say what they have to be with `request_validation`, "
    'or why nothing is asked of them: `request_validation: {none: "reason"}`'
)


def check(context: Context) -> Iterator[Hit]:
    """Routes with methods that carry a body, without `request_validation` and without a reason."""
    for policy in context.policies:
        takes = BODIES & set(policy.methods) and context.services(policy) and policy.websocket is None
        if takes and policy.request_validation is None and policy.unvalidated is None:
            yield context.hit(
                policy, MESSAGE, severity=Severity.ERROR if context.production else Severity.INFO
            )


RULE = Rule(
    id="request-validation-missing", severity=Severity.ERROR, title="bodies reach a service unread, and without a reason", check=check,
    references=("API3:2023", "API8:2023", "CWE-20"),
)  # fmt: skip
