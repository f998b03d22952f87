"""A TLS profile that is pinned to an older guideline."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.listener import GUIDELINES
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Profiles with a version that is not the newest."""
    for name, listener in context.gateway.listeners.items():
        profile, _, version = listener.tls.profile.partition("-") if listener.tls else ("", "", "")
        if version and version != GUIDELINES[-1]:
            message = f"guideline {version} was replaced by {GUIDELINES[-1]}; write `profile: {profile}`, which is the newest"
            yield Hit(("listeners", name, "tls", "profile"), message)


RULE = Rule(
    id="weak-tls", severity=Severity.WARNING, title="a TLS profile of an older guideline", check=check,
    references=("API8:2023", "SP 800-204 4.3", "CWE-326"),
)  # fmt: skip
