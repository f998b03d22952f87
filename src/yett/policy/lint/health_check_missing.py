"""A service with several endpoints, and nobody looks which of them serve."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Several endpoints, without `health_check`, `outlier_detection` and `circuit_breaker`, each of which leaves one alone."""
    for name, service in context.gateway.services.items():
        watched = service.health_check or service.outlier_detection or service.circuit_breaker
        if len(service.urls) > 1 and not watched and name not in context.unopened:
            message = (
                "an endpoint that is down gets its share of the requests on; write `health_check: {path: /healthz}`, "
                "or `outlier_detection: {}`"
            )
            yield Hit(("services", name, "endpoints"), message)


RULE = Rule(
    id="health-check-missing", severity=Severity.WARNING, title="requests go to endpoints that are down", check=check,
    references=("SP 800-204 4.5",),
)  # fmt: skip
