"""Pages for browsers without the headers that protect them."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.providers.oidc import Oidc
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MESSAGE = (
    "people reach this with a browser, and it is not told to refuse frames, sniffed types and plain HTTP; write `security_headers: basic` here, "
    "in the group, or in `defaults`"
)


def check(context: Context) -> Iterator[Hit]:
    """Routes with logins of browsers, without `security_headers`."""
    for policy in context.policies:
        browsers = any(isinstance(provider, Oidc) for _, provider in context.providers(policy))
        if browsers and policy.security_headers is None:
            yield context.hit(policy, MESSAGE)


RULE = Rule(
    id="security-headers-missing", severity=Severity.WARNING, title="browsers are not told how to treat pages", check=check,
    references=("API8:2023", "CWE-693"),
)  # fmt: skip
