"""Answers to verified callers that pages of every origin may read."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.merge import Policy
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

_ALLOW = "access-control-allow-origin"
_CREDENTIALS = "access-control-allow-credentials"


def _edited(policy: Policy) -> dict[str, str]:
    return {**policy.response_headers.get("set", {}), **policy.response_headers.get("add", {})}


def check(context: Context) -> Iterator[Hit]:
    """`origins: any` or `null` where callers are known; and the same written by hand into header fields."""
    for policy in context.policies:
        open_to = [one for one in ("any", "null") if policy.cors and one in policy.cors["origins"]]
        if open_to and policy.access == "authenticated":
            message = f"any page may use a caller's credential here and read the answer: `{open_to[0]}` stands in `origins`; name the pages that are yours"
            yield context.hit(policy, message, "cors")
        fields = _edited(policy)
        if fields.get(_ALLOW, "").strip() in {"*", "null"} and (
            policy.access == "authenticated" or fields.get(_CREDENTIALS, "").strip().lower() == "true"
        ):
            message = f"any page may read the answer, by `{_ALLOW}` in `response_headers`; remove it there, and write `cors` with the pages that are yours"
            yield context.hit(policy, message, "response_headers")


RULE = Rule(
    id="cors-any-origin", severity=Severity.ERROR, title="pages of every origin may read what is for verified callers", check=check,
    references=("API8:2023", "CWE-942"),
)  # fmt: skip
