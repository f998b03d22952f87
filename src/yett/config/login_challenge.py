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
    difficulty: Annotated[int, Field(ge=10, le=20_000)] = 2_000
    """How many keys a browser derives at most, of 1,000 iterations each (half of them on average); twice as many for each 20 points above `at`."""
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
    """No route in the place of solutions, HTTPS wherever browsers calculate and keep a proof, and somebody who may get the page."""
    gateway = merger.gateway
    makers = [policy for policy in policies if (policy.login_guard or {}).get("challenge")]
    for policy in makers:
        for listener in policy.listeners:
            spec = gateway.listeners.get(listener)
            if spec is None or spec.tls is not None:
                continue
            if spec.trusted_proxies is None or spec.trusted_proxies.header != "forwarded":
                merger.fault(
                    ("routes", policy.name, "login_guard", "challenge"),
                    "challenge_insecure",
                    f"browsers calculate and keep the proof over HTTPS only, and `{listener}` speaks plain HTTP; "
                    "give it `tls`, or `trusted_proxies: {header: forwarded}`, whose `proto` says that the proxies before it end TLS",
                    True,
                )
        why = _never(policy)
        if why:
            merger.fault(("routes", policy.name, "login_guard", "challenge"), "challenge_never", why, True)
    for name, route in gateway.routes.items() if makers else ():
        if _takes(route.match.path):
            merger.fault(
                ("routes", name, "match", "path"),
                "path_reserved",
                f"at `{PATH}` the gateway itself takes what browsers calculated for `{makers[0].name}`; choose another path",
            )


def _never(policy: Policy) -> str | None:
    """Why nobody would ever get the page."""
    if policy.hidden:
        return "a hidden route answers as if it were not there, so nobody gets the page; remove `challenge`, or `hidden`"
    methods = {method.upper() for method in policy.methods}
    if "GET" in methods:
        return None
    if "POST" not in methods:
        return "browsers go to a page with GET or POST, and the route takes neither; remove `challenge`"
    if "form" not in (policy.login_guard or {})["account"]:
        return (
            "only a script sends this account, and it gets no page; add GET to `methods`, so that the page comes before the form, "
            "or remove `challenge`"
        )
    return None


def _takes(path: str) -> bool:
    """Whether a route stands in the place of solutions: what begins with a segment of its own there is meant for it."""
    _, first, *rest = [*path.split("/"), ""]
    second, *more = [*rest, ""]
    return first == ".yett" and (second == "challenge" or second.startswith("{")) and not any(more)


def text(challenge: dict[str, Any]) -> str:
    """In a few words: who has to do how much, and what for."""
    others = ", and others are refused there" if challenge["refuse_others"] else ""
    return (
        f"from a score of {challenge['at']} on browsers derive up to {challenge['difficulty']} keys for {challenge['attempts']} "
        f"attempts in {challenge['holds_ms'] / 1000:g} s{others}"
    )
