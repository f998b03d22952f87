"""A public route with everything below a path."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Public routes that forward whatever follows."""
    for policy in context.policies:
        if policy.access == "public" and policy.path.endswith("...}") and context.services(policy):
            message = (
                f"everything below `{policy.path.rsplit('/', 1)[0] or '/'}` is public, also what the service adds later; "
                "name the paths that are meant"
            )
            yield Hit(("routes", policy.name, "match", "path"), message, on_key=False)


RULE = Rule(
    id="public-rest", severity=Severity.WARNING, title="a public route takes everything below a path", check=check,
    references=("API5:2023", "API9:2023"),
)  # fmt: skip
