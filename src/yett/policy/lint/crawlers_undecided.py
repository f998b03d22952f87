"""Crawlers that come in while nobody could verify them, which whoever has an address can bring about."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """`undecided: pass` where a crawler that may come in is proved by DNS."""
    for policy in context.policies:
        bots = policy.bot_filter or {}
        asked = [one["name"] for one in bots.get("crawlers", ()) if one["allowed"] and one.get("domains")]
        if asked and bots.get("undecided_passes"):
            message = (
                f"whoever calls himself `{asked[0]}` gets in by keeping the DNS of his own address silent; remove "
                "`undecided: pass`, or write the crawler's `addresses` in `own` where its operator publishes them"
            )
            yield context.hit(policy, message, "bot_filter")


RULE = Rule(
    id="crawlers-undecided", severity=Severity.WARNING, title="crawlers pass while nobody could verify them", check=check,
    references=("API8:2023", "CWE-636"),
)  # fmt: skip
