"""A file of policy tests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from yett.config.base import Model, refuse
from yett.config.types import Items, Name, Text

NOBODY = "nobody"
"""A caller without a credential."""


class Principal(Model):
    """A caller that a provider is taken to have verified. Everything after that is asked as of a live request."""

    same_as: Text | None = None
    """A caller of `principals`; what else is written here takes the place of what stands there."""
    provider: Name | None = None
    """Which identity provider verified it."""
    subject: Text | None = None
    """`sub` of its token."""
    client: Text | None = None
    """The OAuth client that its token was issued to."""
    scopes: tuple[Text, ...] | None = None
    """Scopes, where the provider's `claims` say that they stand."""
    roles: tuple[Text, ...] | None = None
    """Roles, where the provider's `claims` say that they stand."""
    tenant: Text | None = None
    """Tenant, where the provider's `claims` say that it stands."""
    claims: dict[Text, Any] = Field(default_factory=dict)
    """Further claims as they stand in its token. What every good token has (`iss`, `aud`, `iat`, `exp`) is filled in."""
    name: Text | None = None
    """Of a key, in a client certificate, or the id of a signing key, where its provider knows those."""
    proved: bool = False
    """Whether the proof of the key that its token is bound to is taken as given (DPoP)."""

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        """One scope and one role need no list."""
        if not isinstance(value, dict):
            return value
        return {key: _texts(key, item) if key in {"scopes", "roles"} else item for key, item in value.items()}


def _texts(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return tuple(value.split()) if key == "scopes" else (value,)
    return tuple(value) if isinstance(value, list) else value


def _named(value: Any) -> Any:
    return {"same_as": value} if isinstance(value, str) else value


def _callers(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


Caller = Annotated[Principal, BeforeValidator(_named)]
Callers = Annotated[tuple[Caller, ...], BeforeValidator(_callers)]


class Expect(Model):
    """What has to come of a request."""

    outcome: Text
    """`allow`, `answer` (by the gateway itself), or the reason of a refusal."""
    route: Text | None = None
    """The route that takes it."""
    service: Text | None = None
    """The service that would see it."""
    rule: Text | None = None
    """The rule or limit that refuses it, as `yett explain` names it."""
    status: Annotated[int, Field(ge=100, le=599)] | None = None
    """The status of a refusal or of the gateway's own answer."""
    target: Text | None = None
    """Path and query that the service would see."""
    headers: dict[Text, Text] = Field(default_factory=dict)
    """Header fields that the service would see, with these values."""
    without: Items = ()
    """Header fields that the service must not see."""
    shadow: dict[Text, Text] = Field(default_factory=dict)
    """Rules in shadow by name, and what each would have done: `allow`, `deny`, `error`, or the reason of its refusal."""


def _expected(value: Any) -> Any:
    return {"outcome": value} if isinstance(value, str) else value


Expectation = Annotated[Expect, BeforeValidator(_expected)]


class PolicyTest(Model):
    """One request and what has to come of it; or one with many callers, or one caller with many requests."""

    request: Text | None = None
    """Method and URL: `GET https://api.example.com/orders/17`; where the file says `base`, the path is enough."""
    requests: dict[Text, Expectation] = Field(default_factory=dict)
    """Many requests of one caller: each as in `request`, and what has to come of it."""
    principal: Callers | None = None
    """The caller: a name of `principals`, one that is described here, or `nobody`. Several where each of several providers
    has to vouch."""
    principals: dict[Text, Expectation] = Field(default_factory=dict)
    """One request of many callers: each by its name, and what has to come of it."""
    token_file: Text | None = None
    """A bearer token in place of a principal; relative to this file."""
    headers: dict[Text, Text] = Field(default_factory=dict)
    """Header fields of the request."""
    body: Any = None
    """The body: a text as it stands, anything else as JSON, with its `Content-Type` where `headers` has none."""
    listener: Name | None = None
    """Where several listeners fit the URL's scheme."""
    address: Text | None = None
    """Where the request comes from; 192.0.2.1 if nothing is said."""
    certificate: Text | None = None
    """PEM file of a client certificate, taken as verified by the handshake; relative to this file."""
    ja4: Text | None = None
    """What the client's hello of TLS says of its program, as in the access log; on listeners with TLS."""
    time: Text | None = None
    """As if it were then: `2026-11-28T12:00:00Z`."""
    external: Literal["allow", "deny"] = "allow"
    """What the route's external check is taken to say: nobody is asked."""
    times: Annotated[int, Field(ge=1, le=100_000)] = 1
    """How often it is sent in a row; what comes of the last one counts. For limits."""
    expect: Expectation | None = None
    """What has to come of it."""

    @model_validator(mode="after")
    def _one_form(self) -> PolicyTest:
        said = self.model_fields_set
        if ("request" in said) == ("requests" in said):
            raise refuse("test_form", "write `request`, or `requests` with what has to come of each")
        if "requests" in said and ("expect" in said or "principals" in said):
            raise refuse(
                "test_form",
                "`requests` say themselves what has to come of each; remove `expect` and `principals`",
            )
        if "request" in said and ("expect" in said) == ("principals" in said):
            raise refuse("test_form", "write `expect`, or `principals` with what has to come of each")
        if "principals" in said and ("principal" in said or "token_file" in said):
            raise refuse("test_form", "`principals` are the callers; remove `principal` and `token_file`")
        if "principal" in said and "token_file" in said:
            raise refuse("test_form", "write `principal` or `token_file`, not both")
        return self


class PolicyTests(Model):
    """A file of policy tests."""

    version: Literal[1] = 1
    """The version of this format."""
    base: Text | None = None
    """What stands before the path of each request: `https://api.example.com`."""
    listener: Name | None = None
    """For all tests that name none."""
    address: Text | None = None
    """For all tests that name none."""
    time: Text | None = None
    """For all tests that name none."""
    principals: dict[Text, Principal] = Field(default_factory=dict)
    """Callers by name."""
    tests: dict[Text, PolicyTest]
    """Tests by what they show."""
