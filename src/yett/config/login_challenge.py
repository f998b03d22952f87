"""Work that a guarded login asks of browsers in place of a wait or a refusal: a page with a short calculation (ALTCHA, version 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from yett.config import units
from yett.config.base import Location, Model, refuse
from yett.config.types import Secret

if TYPE_CHECKING:
    from yett.config.merge import Merger, Policy

PATH = "/.yett/challenge"
"""Where pages send what they calculated."""


def _holds(value: str) -> str:
    if not 1_000 <= units.milliseconds(value) <= 86_400_000:
        raise refuse("holds_invalid", f"`{value}` is out of range; write `1s` to `24h`")
    return value


class LoginChallenge(Model):
    """A browser calculates for a while before a suspicious attempt, in place of waiting or being refused."""

    at: Annotated[int, Field(ge=1, le=60)] = 30
    """From this score on."""
    difficulty: Annotated[int, Field(ge=10, le=100_000)] = 2_000
    """How many keys a browser derives at most, of 1,000 iterations each; twice as many for each 20 points above `at`."""
    holds: Annotated[units.Duration, AfterValidator(_holds)] = "10m"
    """How long a proof counts: `1s` to `24h`."""
    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    """How many attempts a proof is good for."""
    others: Literal["slow", "refuse"] = "slow"
    """What becomes of suspicious attempts that are no browser's: as without a challenge, or `refuse` from `at` on."""
    secret: Secret | None = None
    """What challenges and proofs are signed with, where several instances take each other's; random for each process without it."""

    def compiled(self, at: Location) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        from yett.config.resolve import secret_name  # it imports the models

        return {
            "at": self.at, "difficulty": self.difficulty, "holds_ms": units.milliseconds(self.holds),
            "attempts": self.attempts, "refuse_others": self.others == "refuse",
            **({"secret": secret_name((*at, "secret"))} if self.secret else {}),
        }  # fmt: skip


def check_challenges(merger: Merger, policies: list[Policy]) -> None:
    """No route in the place of solutions, and HTTPS wherever browsers calculate and keep a proof."""
    gateway = merger.gateway
    makers = [policy for policy in policies if (policy.login_guard or {}).get("challenge")]
    for policy in makers:
        for listener in policy.listeners:
            spec = gateway.listeners.get(listener)
            if spec is not None and spec.tls is None and spec.trusted_proxies is None:
                merger.fault(
                    ("routes", policy.name, "login_guard", "challenge"),
                    "challenge_insecure",
                    f"browsers calculate and keep the proof over HTTPS only, and `{listener}` speaks plain HTTP; "
                    "give it `tls`, or the `trusted_proxies` that end TLS before it",
                    True,
                )
    for name, route in gateway.routes.items() if makers else ():
        if route.match.path == PATH:
            merger.fault(
                ("routes", name, "match", "path"),
                "path_reserved",
                f"at `{PATH}` the gateway itself takes what browsers calculated for `{makers[0].name}`; choose another path",
            )


def text(challenge: dict[str, Any]) -> str:
    """In a few words: who has to do how much, and what for."""
    others = ", and others are refused there" if challenge["refuse_others"] else ""
    return (
        f"from a score of {challenge['at']} on browsers derive up to {challenge['difficulty']} keys for {challenge['attempts']} "
        f"attempts in {challenge['holds_ms'] / 1000:g} s{others}"
    )
