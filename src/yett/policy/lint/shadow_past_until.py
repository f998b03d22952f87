"""A rule or limit that was to be tried out for a time that is over."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.shadow import ends
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Rules and limits in shadow whose `until` has passed."""
    for at, source, rule in context.tried:
        if rule.until is not None and ends(rule.until) <= context.now:
            message = (
                f"`{source}` was to be in shadow until `{rule.until}`, and still refuses nobody; "
                "enforce it by removing `mode` and `until`, or remove it"
            )
            yield Hit((*at, "until"), message, on_key=False)


RULE = Rule(
    id="shadow-past-until", severity=Severity.ERROR, title="a rule or limit in shadow whose time is over", check=check,
    references=("API5:2023",), dated=True,
)  # fmt: skip
