"""Tokens that the gateway gets for a service, in place of the caller's credential."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from yett.config import units
from yett.config.base import Location, Model, listed, refuse
from yett.config.discovered import discovered
from yett.config.oauth_client import OauthClient
from yett.config.providers.client_assertion import ClientAssertion
from yett.config.types import Items, Plaintext, PublicFile
from yett.config.units import AnyDuration, Duration
from yett.config.url import Url

if TYPE_CHECKING:
    from yett.config.merge import Merger, Policy
    from yett.config.resolve import Material


class ServiceToken(Model):
    """A token that is made for the service: in the gateway's own name (RFC 6749 section 4.4), or in the caller's (RFC 8693)."""

    type: Literal["client_credentials", "token_exchange"]
    """`client_credentials`: the service sees the gateway. `token_exchange`: it sees the caller, through the gateway."""
    endpoint: Url | None = None
    """The token endpoint, `https://…`; without it the metadata of the `issuer` says where."""
    client: OauthClient
    """Who the gateway is there."""
    issuer: Url | None = None
    """The authorization server: its metadata says the `endpoint`; and `aud` of assertions (`private_key`)."""
    hosts: Items = ()
    """Further hosts that the endpoint of the metadata may be on; without it only the issuer's own."""
    audience: Items = ()
    """For whom the token is: `audience` (RFC 8693 section 2.1), one or several."""
    resource: Items = ()
    """For which addresses the token is: `resource` (RFC 8707), one or several."""
    scope: Items = ()
    """What it allows, one or several."""
    ca: PublicFile | None = None
    """PEM of the authority that signed the server's certificate; the system's roots otherwise."""
    plaintext: Plaintext | None = None
    """Why a token endpoint over plain HTTP is fine here."""
    margin: AnyDuration = "30s"
    """How long before its end a token is not used any more."""
    timeout: Duration = "3s"
    """For one token, waiting included; at most 10s."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 32
    """Requests for tokens under way at once, for the process."""
    queue: Annotated[int, Field(ge=0, le=10_000)] = 256
    """Requests that wait for one; further ones are answered with 503."""

    @model_validator(mode="after")
    def _fits(self) -> ServiceToken:
        if not (self.audience or self.resource or self.scope):
            raise refuse(
                "token_for_anyone",
                "a token that is made for nobody opens every service; name its `audience`, `resource` or `scope`",
            )
        for index, scope in enumerate(self.scope):
            if any(character in scope for character in ' "\\'):
                raise refuse("scope_invalid", f"`{scope}` is not one scope; list several", ("scope", index))
        if units.milliseconds(self.timeout) > 10_000:
            raise refuse(
                "out_of_range",
                f"`{self.timeout}` is longer than a caller waits; write at most `10s`",
                ("timeout",),
            )
        if self.endpoint is None and self.issuer is None:
            raise refuse(
                "endpoint_missing",
                "nothing says where the token is got: name the `endpoint`, or the `issuer` whose metadata says where it is",
            )
        if self.endpoint is not None and self.hosts:
            raise refuse(
                "key_unused",
                "`endpoint` says where the token is got, so no metadata is read; remove one of them",
                ("hosts",),
            )
        asked = self.endpoint or self.issuer or ""
        if asked.startswith("http://") and self.plaintext is None:
            raise refuse(
                "plaintext_reason",
                f"`{asked}` is plain HTTP, where anyone on the way could read tokens; use https, or add `plaintext:` with a reason",
                ("endpoint" if self.endpoint else "issuer",),
            )
        if self.plaintext is not None and not asked.startswith("http://"):
            raise refuse("plaintext_unused", "nothing here is plain HTTP; remove `plaintext`", ("plaintext",))
        return self

    def compiled(self, at: Location, material: Material) -> dict[str, Any]:
        """Its part of the IR; `at` is its place."""
        ca = material.texts.get((*at, "ca"))
        plaintext = self.plaintext is not None
        place: dict[str, Any] = {"discovery": discovered(self.issuer or "", plaintext, ca, self.hosts)}
        if self.endpoint is not None:
            place = {"endpoint": {"url": self.endpoint, "plaintext": plaintext, "ca": ca}}
        return {
            "grant": self.type,
            **place,
            **({"issuer": self.issuer} if self.issuer else {}),
            "client": self.client.compiled((*at, "client"), material),
            "audiences": list(self.audience),
            "resources": list(self.resource),
            "scopes": list(self.scope),
            "margin_ms": units.milliseconds(self.margin),
            "timeout_ms": units.milliseconds(self.timeout),
            "concurrency": self.concurrency,
            "queue": self.queue,
        }


def check_service_tokens(merger: Merger, policies: list[Policy]) -> None:
    """Everything that would leave a service without the token that it is to get."""
    gateway = merger.gateway
    for name, service in gateway.services.items():
        if service.token is None:
            continue
        at: Location = ("services", name, "token")
        if service.forward_credential:
            merger.fault(
                ("services", name, "forward_credential"),
                "token_and_credential",
                "the service gets a token in place of the caller's credential; remove `forward_credential`, or `token`",
                True,
            )
        for listener in _passing(merger, name):
            merger.fault(
                at,
                "token_unsendable",
                f"`{listener}` passes TLS on to this service unopened, and cannot add a token; remove `token`",
                True,
            )
    tokens = {name: service.token for name, service in gateway.services.items() if service.token}
    for policy in policies if tokens else ():
        _policy(merger, policy, tokens)


def _passing(merger: Merger, service: str) -> Iterator[str]:
    for name, listener in merger.gateway.listeners.items():
        if listener.passthrough and any(
            target.service == service for target in listener.passthrough.hosts.values()
        ):
            yield name


def _policy(merger: Merger, policy: Policy, tokens: dict[str, ServiceToken]) -> None:
    at: Location = ("routes", policy.name)
    if policy.mirror and policy.mirror["service"] in tokens:
        merger.fault(
            at,
            "token_unsendable",
            f"copies for `{policy.mirror['service']}` would lack its `token`; mirror to a service without one",
            True,
        )
    shares = policy.action.get("forward", [])
    exchanging = [
        share["service"]
        for share in shares
        if (token := tokens.get(share["service"])) and token.type == "token_exchange"
    ]
    if not exchanging:
        return
    known = merger.gateway.identity_providers
    without = [
        name
        for name in policy.providers
        if name in known
        and (known[name].credential != "authorization" or isinstance(known[name], ClientAssertion))
    ]
    if policy.access == "public":
        who = "nobody is known on a public route"
    elif without and not (policy.all_of and len(without) < len(policy.providers)):
        who = f"callers of {listed(without)} have no token"
    else:
        return
    merger.fault(
        at,
        "token_without_caller",
        f"{listed(exchanging)} gets a token in exchange for the caller's, and {who}; accept tokens only, or use `client_credentials`",
        True,
    )
