"""GraphQL whose whole schema callers may read in production."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """`introspection: allow` of a group or route, in production."""
    if not context.production:
        return
    for section, name, item in context.parts():
        graphql = item.request_validation and item.request_validation.graphql
        if graphql and graphql.introspection == "allow":
            message = (
                "every caller reads the whole schema, fields that no client uses too, and knows what to try; "
                "remove `introspection`, and give developers the schema as a file"
            )
            yield Hit((section, name, "request_validation", "graphql", "introspection"), message)


RULE = Rule(
    id="graphql-introspection", severity=Severity.WARNING, title="GraphQL whose whole schema callers may read", check=check,
    references=("API8:2023", "API9:2023", "CWE-200"),
)  # fmt: skip
