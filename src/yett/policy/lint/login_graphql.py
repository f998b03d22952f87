"""A guarded login by GraphQL, where callers choose what an answer looks like."""

from __future__ import annotations

import re
from collections.abc import Iterator

from yett.config.base import listed
from yett.config.merge import Policy
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

_GRAPHQL = re.compile(r"/[^/{}]*graphql[^/{}]*(/|$)|/gql(/|$)", re.IGNORECASE)


def check(context: Context) -> Iterator[Hit]:
    """Guards that read `failed` or `passed` in answers to queries that callers write."""
    for policy in context.policies:
        guard = policy.login_guard or {}
        read = [(guard.get("failed") or {}).get("body"), guard.get("passed")]
        pointers = sorted({one["pointer"] for one in read if one})
        validated = policy.request_validation[1].graphql if policy.request_validation else None
        if not pointers or not (validated or _looks(policy)):
            continue
        if validated and validated.persisted == "only":
            continue
        message = (
            f"whoever writes the query also chooses, by aliases, what stands at {listed(pointers)} of the answer, and may name another "
            "account than its variables, so that a failed login counts as a success; take only documents that the service has: "
            "`request_validation: {graphql: {persisted: only}}`, or give the login a route of its own"
        )
        yield context.hit(policy, message, "login_guard")


def _looks(policy: Policy) -> bool:
    """Whether the path is one at which GraphQL is served, here or at the service."""
    return any(_GRAPHQL.search(path) for path in (policy.path, policy.rewrite or ""))


RULE = Rule(
    id="login-graphql", severity=Severity.WARNING, title="a guarded login whose callers choose what an answer looks like", check=check,
    references=("API2:2023", "CWE-307"),
)  # fmt: skip
