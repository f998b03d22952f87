"""A rule or limit that is to be tried out for so long that nobody will remember it."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.shadow import LONGEST, ends
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Rules and limits in shadow whose `until` is more than 90 days ahead."""
    for at, source, rule in context.tried:
        if rule.until is not None and ends(rule.until) - context.now > LONGEST:
            message = (
                f"`{source}` is to be in shadow until `{rule.until}`, more than {LONGEST.days} days ahead, and refuses nobody until then; "
                "write an earlier day, and decide again on it"
            )
            yield Hit((*at, "until"), message, on_key=False)


RULE = Rule(
    id="shadow-long", severity=Severity.ERROR, title="a rule or limit that is in shadow for more than 90 days", check=check,
    references=("API5:2023",), dated=True,
)  # fmt: skip
