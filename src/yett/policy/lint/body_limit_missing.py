"""A route that takes bodies, and says nowhere how large they may be."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.gateway import Defaults
from yett.policy.linter.context import BODIES, Context
from yett.policy.linter.fix import Insert
from yett.policy.linter.rule import Hit, Rule, Severity

DEFAULT = "1MiB"
MESSAGE = (
    f"nowhere is said how large a body may be, so it is {DEFAULT}; write what is needed: `limits: {{body: 64KiB}}` here, "
    f"or `defaults: {{limits: {{body: {DEFAULT}}}}}` for all"
)


def check(context: Context) -> Iterator[Hit]:
    """Routes with methods that carry a body, where neither they, their group nor `defaults` say its size."""
    defaults = context.gateway.defaults
    if defaults.limits.body is not None:
        return
    for policy in context.policies:
        if BODIES.isdisjoint(policy.methods) or not context.services(policy):
            continue
        group = context.group(policy)
        if not (context.route(policy).limits.body or (group and group.limits.body)):
            severity = Severity.ERROR if context.production else Severity.INFO
            hit = context.hit(policy, MESSAGE, severity=severity)
            yield Hit(hit.at, hit.message, hit.severity, group=hit.group, fix=_fix(context, defaults))


def _fix(context: Context, defaults: Defaults) -> Insert:
    """Writes down what holds already."""
    if "limits" in defaults.model_fields_set:
        return Insert(("defaults", "limits"), "body", DEFAULT, DEFAULT)
    limits = {"body": DEFAULT}
    if "defaults" in context.gateway.model_fields_set:
        return Insert(("defaults",), "limits", limits, f"{{body: {DEFAULT}}}")
    return Insert((), "defaults", {"limits": limits}, f"{{limits: {{body: {DEFAULT}}}}}", before="listeners")


RULE = Rule(
    id="body-limit-missing", severity=Severity.ERROR, title="nowhere is said how large a body may be", check=check,
    references=("API4:2023",), fixable=True,
)  # fmt: skip
