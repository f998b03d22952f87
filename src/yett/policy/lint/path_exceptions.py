"""Paths that two programs may read in two ways."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.base import listed
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """`path: {allow: …}`."""
    for policy in context.policies:
        if policy.path_allow and context.services(policy):
            message = (
                f"{listed(policy.path_allow)} in a path is read in one way here and perhaps in another by the service, which then serves what the "
                "rules were not asked about; remove `path`, or accept it with the reason why the service needs it"
            )
            yield Hit(("routes", policy.name, "path"), message)


RULE = Rule(
    id="path-exceptions", severity=Severity.WARNING, title="paths that two programs may read in two ways", check=check,
    references=("API8:2023", "CWE-436"),
)  # fmt: skip
