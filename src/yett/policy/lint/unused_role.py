"""A role that no rule asks for."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.authorization.roles import RoleTable
from yett.config.filters.authorize import Rule as AccessRule
from yett.policy.linter.context import Context
from yett.policy.linter.fix import Remove
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Roles that let nobody in: neither named, nor bringing a permission that is, nor including such a one."""
    gateway = context.gateway
    table = RoleTable(gateway.roles)
    named: set[str] = set()
    for _, _, item in context.parts():
        rules: tuple[AccessRule, ...] = (*item.authorize, *item.deny.values())
        for rule in rules:
            named |= set(rule.roles.items) if rule.roles else set()
            for permission in rule.permissions.items if rule.permissions else ():
                named |= set(table.granting(permission))
    useful = {holder for name in named for holder in table.holders(name)}
    included = {name for role in gateway.roles.values() for name in role.includes}
    for name in gateway.roles:
        if name not in useful:
            at = ("roles", name)
            message = f"no rule asks for `{name}` or for what it may do; remove it, or ask for it"
            yield Hit(at, message, fix=None if name in included else Remove(at, "the unused role"))


RULE = Rule(
    id="unused-role", severity=Severity.INFO, title="a role that no rule asks for", check=check, fixable=True,
    references=("API5:2023",),
)  # fmt: skip
