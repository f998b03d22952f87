"""A sensitive group that a stolen token opens from anywhere."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.providers.mtls import Mtls
from yett.config.providers.signed_request import SignedRequest
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MESSAGE = (
    "a token that was stolen opens sensitive data from anywhere; tie it to something: `client_certificate: required`, `sender_constrained`, "
    "`addresses` in `authorize`, or `assurance`"
)


def check(context: Context) -> Iterator[Hit]:
    """Routes of sensitive groups that ask for nothing beside a token."""
    for policy in context.policies:
        group = context.group(policy)
        if group is None or group.sensitive is None:
            continue
        machines = [isinstance(provider, Mtls | SignedRequest) for _, provider in context.providers(policy)]
        tied = bool(policy.client_certificate or policy.sender_constrained or policy.assurance)
        tied = tied or any("addresses" in rule or "device" in rule for rule in policy.rules)
        if not tied and not (machines and (all(machines) or (policy.all_of and any(machines)))):
            yield context.hit(policy, MESSAGE)


RULE = Rule(
    id="sensitive-untied", severity=Severity.WARNING, title="sensitive data for whoever has a copy of a token", check=check,
    references=("API2:2023", "SP 800-204 4.1"),
)  # fmt: skip
