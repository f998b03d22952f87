"""Pages that act with a visitor's cookies, and are not surely one's own."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """`credentials: true` with a pattern, or with an origin over plain HTTP that is reached from elsewhere."""
    for policy in context.policies:
        if not policy.cors or not policy.cors["credentials"]:
            continue
        wide = [one for one in policy.cors["origins"] if "*" in one]
        plain = [
            one
            for one in policy.cors["origins"]
            if one.startswith("http://") and (context.production or not _is_local(one))
        ]
        if wide:
            message = f"a page on any name below `{wide[0]}`, a forgotten one too, acts with a visitor's cookies; name the origins"
            yield context.hit(policy, message, "cors")
        elif plain:
            message = f"whoever is on the way can answer as `{plain[0]}`, and act with a visitor's cookies; use https"
            yield context.hit(policy, message, "cors")


def _is_local(origin: str) -> bool:
    host = (
        origin.removeprefix("http://").rpartition("]")[0] or origin.removeprefix("http://").partition(":")[0]
    )
    return host in {"localhost", "127.0.0.1", "[::1"} or host.endswith(".localhost")


RULE = Rule(
    id="cors-credentials-wide", severity=Severity.WARNING, title="pages act with a visitor's cookies, and may be anybody's", check=check,
    references=("API8:2023", "CWE-942"),
)  # fmt: skip
