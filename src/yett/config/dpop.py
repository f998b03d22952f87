"""Sender-constrained tokens: how proofs are checked (DPoP, RFC 9449), and who demands them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from yett.config import units
from yett.config.base import Location, Model, nearest, refuse
from yett.config.types import Secret, SenderConstrained
from yett.config.units import AnyDuration, Duration

if TYPE_CHECKING:
    from yett.config.merge import Merger, Policy

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
PROOF_ALGORITHMS = ("ES256", "EdDSA", "ES384", "PS256", "RS256")


def _algorithms(value: Any) -> Any:
    items = (value,) if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items:
        raise refuse("algorithm_unknown", "write one or more of " + ", ".join(ALGORITHMS))
    for index, name in enumerate(items):
        if name not in ALGORITHMS:
            hint = nearest(str(name), ALGORITHMS) or "; write one or more of " + ", ".join(ALGORITHMS)
            at: Location = () if isinstance(value, str) else (index,)
            raise refuse("algorithm_unknown", f"proofs cannot be signed with `{name}`{hint}", at)
    return tuple(items)


def _seconds(least: int, most: int) -> Any:
    def check(value: str) -> str:
        found = units.milliseconds(value)
        if found % 1000 or not least <= found // 1000 <= most:
            raise refuse(
                "out_of_range", f"`{value}` is out of range; write whole seconds from {least}s to {most}s"
            )
        return value

    return AfterValidator(check)


class DpopNonce(Model):
    """A nonce of the gateway in every proof (RFC 9449 section 9)."""

    lifetime: Annotated[Duration, _seconds(10, 86_400)] = "5m"
    """How long one counts; a new one is given before it ends."""
    secret: Secret | None = None
    """What nonces are sealed with; instances that share it take each other's. One of the process otherwise."""


class Dpop(Model):
    """How proofs are checked (DPoP, RFC 9449)."""

    algorithms: Annotated[
        tuple[str, ...],
        BeforeValidator(_algorithms),
        WithJsonSchema({"type": "array", "items": {"enum": list(ALGORITHMS)}, "minItems": 1}),
    ] = PROOF_ALGORITHMS
    """JWA names that proofs may be signed with."""
    max_age: Annotated[Duration, _seconds(1, 600)] = "60s"
    """How long after its `iat` a proof counts."""
    leeway: Annotated[AnyDuration, _seconds(0, 60)] = "5s"
    """How long before its `iat` it counts, for clocks that differ."""
    nonce: DpopNonce | None = None
    """Demands a nonce of the gateway in every proof; none is demanded without this."""


def compiled(dpop: Dpop) -> dict[str, Any]:
    """Its part of the IR."""
    document: dict[str, Any] = {
        "algorithms": list(dpop.algorithms),
        "max_age_s": units.milliseconds(dpop.max_age) // 1000,
        "leeway_s": units.milliseconds(dpop.leeway) // 1000,
    }
    if dpop.nonce is not None:
        document["nonce_ms"] = units.milliseconds(dpop.nonce.lifetime)
        document["nonce_secret"] = "dpop.nonce.secret" if dpop.nonce.secret else None
    return document


def meet(demands: list[SenderConstrained]) -> SenderConstrained | None:
    """What satisfies all of them; nothing where there is none. `dpop` and `mtls` together are reported elsewhere."""
    narrow: list[SenderConstrained] = [one for one in demands if one != "any"]
    return narrow[0] if narrow else demands[0] if demands else None


def check_dpop(merger: Merger, policies: list[Policy]) -> None:
    """What is demanded can be satisfied: by one binding, by some provider, and over connections with certificates."""
    gateway = merger.gateway
    for policy in policies:
        demands = _demands(merger, policy)
        if not demands:
            continue
        route = gateway.routes[policy.name]
        own = route.sender_constrained
        at = ("routes", policy.name) if own or not route.group else ("groups", route.group)
        if {"dpop", "mtls"} <= set(demands):
            merger.fault(
                (*at, "sender_constrained") if policy.sender_constrained else ("routes", policy.name),
                "binding_impossible",
                "one asks for `dpop`, another for `mtls`, and a token is bound to one thing; write the same, or `any`",
                not policy.sender_constrained,
            )
        if policy.sender_constrained and policy.access == "public":
            merger.fault(
                (*at, "sender_constrained"),
                "key_unused",
                "a public route takes no tokens; remove `sender_constrained`, or say who may call",
                True,
            )
        if meet(demands) == "mtls" and policy.access != "public":
            _over_certificates(merger, policy, (*at, "sender_constrained"))


def _demands(merger: Merger, policy: Policy) -> list[SenderConstrained]:
    found: list[SenderConstrained] = [policy.sender_constrained] if policy.sender_constrained else []
    for name in policy.providers:
        demand = getattr(merger.gateway.identity_providers.get(name), "sender_constrained", None)
        if demand:
            found.append(demand)
    return found


def _over_certificates(merger: Merger, policy: Policy, at: tuple[str, ...]) -> None:
    for name in policy.listeners:
        listener = merger.gateway.listeners.get(name)
        if listener is None or (listener.tls is not None and listener.tls.client_certificates is not None):
            continue
        merger.fault(
            at if policy.sender_constrained else ("routes", policy.name),
            "client_certificate_unasked",
            f"tokens have to be bound to the client's certificate, and the listener `{name}` asks for none; "
            "add `tls: {client_certificates: …}` there",
            True,
        )
