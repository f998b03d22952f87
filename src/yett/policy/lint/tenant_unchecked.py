"""A path that names a tenant, and nothing compares it with the caller's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from yett.config import template
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

NAMES = frozenset(
    {
        "tenant", "tenant_id", "org", "org_id", "organisation", "organization", "organisation_id", "organization_id", "account", "account_id",
        "customer", "customer_id", "company", "company_id", "workspace", "workspace_id",
    }
)  # fmt: skip
"""Variables of paths that say whose something is."""


def check(context: Context) -> Iterator[Hit]:
    """Authenticated routes with such a variable, where no tenant, condition or external check reads it."""
    for policy in context.policies:
        found = template.read(policy.path)
        asked = policy.tenants or policy.tenant_reason or policy.external
        if policy.access != "authenticated" or asked or isinstance(found, str):
            continue
        conditions = " ".join(str(rule.get("when", "")) for rule in (*policy.rules, *policy.deny))
        for name in found.variables:
            if name in NAMES and not re.search(rf"\bpath\.{name}\b", conditions):
                message = (
                    f"a caller who writes somebody else's name for `{{{name}}}` gets what is theirs, unless the service looks; "
                    f'write `tenant: path.{name}`, or why not: `tenant: {{none: "reason"}}`'
                )
                yield Hit(("routes", policy.name, "match", "path"), message, on_key=False)


RULE = Rule(
    id="tenant-unchecked", severity=Severity.WARNING, title="a path names a tenant that nothing compares with the caller's", check=check,
    references=("API1:2023",),
)  # fmt: skip
