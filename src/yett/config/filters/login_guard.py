"""Guesses at logins: stuffing, spraying and guessing are slowed, refused and banned by a score of what failed before."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from yett.config import units
from yett.config.base import Location, Model, refuse
from yett.config.headers import FieldName, FieldValue
from yett.config.health import Status
from yett.config.login_challenge import LoginChallenge
from yett.config.login_challenge import text as work
from yett.config.shadow import Tried
from yett.config.types import Networks, Text

SLOWEST_MS = 30_000
_ESCAPE = re.compile("~(?![01])")


def _pointer(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("/") or len(value) > 200:
        raise refuse(
            "pointer_invalid",
            f"`{value}` is no JSON Pointer (RFC 6901); write one such as `/email` or `/login/email`",
        )
    if _ESCAPE.search(value):
        raise refuse(
            "pointer_invalid",
            f"`{value}` is no JSON Pointer (RFC 6901): `~` is written `~0`, and `/` in a name `~1`",
        )
    if "-" in value.split("/"):
        raise refuse(
            "pointer_invalid",
            f"`{value}` leads nowhere: `-` is the place after the last item of a list; name a field",
        )
    return value


def _said(value: Any) -> Any:
    if not isinstance(value, str | int) or (isinstance(value, int) and abs(value) > 2**53):
        raise refuse(
            "login_failed", "write a text, a whole number, `true` or `false`: what the answer says there"
        )
    return value


def _slow(value: str) -> str:
    if units.milliseconds(value) > SLOWEST_MS:
        raise refuse(
            "slow_invalid", f"`{value}` is longer than clients wait; write at most `30s`, or refuse earlier"
        )
    return value


def _long(value: str) -> str:
    if not 10_000 <= units.milliseconds(value) <= 86_400_000:
        raise refuse("window_invalid", f"`{value}` is out of range; write `10s` to `24h`")
    return value


Pointer = Annotated[str, BeforeValidator(_pointer), WithJsonSchema({"type": "string", "pattern": "^/"})]
Said = Annotated[
    bool | int | str, BeforeValidator(_said), WithJsonSchema({"type": ["string", "integer", "boolean"]})
]
Threshold = Annotated[int, Field(ge=1, le=1_000_000)]


class LoginPart(Model):
    """Where a request has a text: in one of three places."""

    form: Text | None = None
    """A field of a form."""
    pointer: Pointer | None = None
    """A JSON Pointer (RFC 6901) to a text or number of the body."""
    header: FieldName | None = None
    """A header field."""

    @model_validator(mode="after")
    def _one(self) -> LoginPart:
        if sum(part is not None for part in (self.form, self.pointer, self.header)) != 1:
            raise refuse("login_part", "say one of `form: NAME`, `pointer: /NAME` and `header: NAME`")
        return self

    def compiled(self) -> dict[str, str]:
        """Its part of the intermediate representation."""
        found = {"form": self.form, "json": self.pointer, "header": self.header}
        return {key: value for key, value in found.items() if value is not None}


class FailedField(Model):
    """A header field of an answer that says no."""

    name: FieldName
    """Its name, such as `location`."""
    value: FieldValue | None = None
    """Its whole value."""
    prefix: FieldValue | None = None
    """How it begins."""

    @model_validator(mode="after")
    def _one(self) -> FailedField:
        if (self.value is None) == (self.prefix is None):
            raise refuse("login_failed", "say either `value` or `prefix` of the field")
        return self


class LoginFailed(Model):
    """Which answers say no, beside those of 400 to 499."""

    status: Status | None = None
    """A status, or several: for services that answer 200 to a wrong password."""
    header: FailedField | None = None
    """A header field: for services that redirect in both cases."""
    pointer: Pointer | None = None
    """A JSON Pointer (RFC 6901) into the answer's body, of at most 64 KiB: what stands there and is neither null nor false says no."""
    value: Said | None = None
    """What has to stand at `pointer` to say no; anything else there does not."""

    @model_validator(mode="after")
    def _some(self) -> LoginFailed:
        if self.status is None and self.header is None and self.pointer is None:
            raise refuse(
                "login_failed",
                "say `status`, `header` or `pointer`, or leave `failed` out: 400 to 499 always says no",
            )
        if self.value is not None and self.pointer is None:
            raise refuse(
                "login_failed", "say with `pointer` where in the answer that value stands", ("value",)
            )
        return self

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        document: dict[str, Any] = {"status": sorted(self.status or ())}
        if self.header:
            value = self.header.prefix if self.header.value is None else self.header.value
            document["header"] = {
                "name": self.header.name,
                "value": value,
                "prefix": self.header.value is None,
            }
        if self.pointer is not None:
            document["body"] = {"pointer": self.pointer}
            if self.value is not None:
                document["body"]["value"] = self.value
        return document


class LoginPassed(Model):
    """What an answer has that says yes, where it is no failure."""

    pointer: Pointer
    """A JSON Pointer (RFC 6901) into the answer's body, of at most 64 KiB: only what stands there and is neither null nor false says yes."""
    value: Said | None = None
    """What has to stand at `pointer` to say yes; anything else there does not."""

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        return {"pointer": self.pointer, **({} if self.value is None else {"value": self.value})}


class LoginThresholds(Model):
    """How many in a window have an attempt refused; half as many slow it down."""

    accounts: Threshold = 10
    """Accounts that one address failed for."""
    failures: Threshold = 20
    """Attempts of one address that failed."""
    guesses: Threshold = 10
    """Attempts of one address for one account that failed."""
    per_account: Threshold = 30
    """Attempts for one account that failed, by addresses from which it never succeeded: these only slow down."""
    per_fingerprint: Threshold = 30
    """Accounts that one kind of client failed for."""
    per_password: Threshold = 10
    """Accounts that one password failed for."""
    per_asn: Threshold | None = None
    """Accounts that one autonomous system failed for, where `geo` has a database of those (100 then): it only slows down."""


class LoginGuard(Tried):
    """A route on which people log in, sign up, or prove something else that can be guessed."""

    kind: Literal["login", "sign_up", "other"] = "login"
    """`sign_up`: each account that is made counts, too. `other`: nobody is remembered for having got in."""
    account: LoginPart
    """Where a request names its account."""
    password: LoginPart | None = None
    """Where it has its password; one that is tried on many accounts (spraying) is seen only with this."""
    failed: LoginFailed | None = None
    """Which answers say no, beside those of 400 to 499."""
    passed: LoginPassed | None = None
    """What a success has in its body: whatever is without it has failed. Where both say something, `failed` goes before."""
    window: Annotated[units.Duration, AfterValidator(_long)] = "10m"
    """Time in which what was counted fades to a third: `10s` to `24h`."""
    thresholds: LoginThresholds = LoginThresholds.unsaid()
    """How much is too much."""
    slow: Annotated[units.AnyDuration, AfterValidator(_slow)] = "2s"
    """How long a suspicious attempt waits before the service is asked; `0s`: none does."""
    ban: units.AnyDuration = "15m"
    """How long nobody new gets in from an address that goes on; `0s`: it is only refused."""
    challenge: LoginChallenge | None = None
    """What a browser has to calculate before a suspicious attempt; nothing where it is absent."""
    exceptions: Networks = ()
    """Networks that are not guarded against, such as those of your own tests."""

    @model_validator(mode="after")
    def _one_body(self) -> LoginGuard:
        kinds = {key for part in (self.account, self.password) if part for key in part.compiled()}
        if {"form", "json"} <= kinds:
            raise refuse(
                "login_part", "account and password stand in one body, which is a form or JSON", ("password",)
            )
        if self.password and self.account.compiled() == self.password.compiled():
            raise refuse(
                "login_part",
                "account and password are not the same; name the place of each, or leave `password` out",
                ("password",),
            )
        return self

    def compiled(self, at: Location) -> dict[str, Any]:
        """Its part of the intermediate representation; `at` is its place, by which its secret is known."""
        return {
            "kind": self.kind, "account": self.account.compiled(),
            **({"password": self.password.compiled()} if self.password else {}),
            **({"failed": self.failed.compiled()} if self.failed else {}),
            **({"passed": self.passed.compiled()} if self.passed else {}),
            "window_ms": units.milliseconds(self.window), "thresholds": self.thresholds.model_dump(exclude_none=True),
            "slow_ms": units.milliseconds(self.slow), "ban_ms": units.milliseconds(self.ban),
            **({"challenge": self.challenge.compiled((*at, "challenge"))} if self.challenge else {}),
            **({"except": sorted(self.exceptions)} if self.exceptions else {}),
            **({} if self.enforced else {"shadow": True}),
        }  # fmt: skip

    def fault(self, methods: tuple[str, ...], forwards: bool, websocket: bool) -> str | None:
        """Why a route with these methods cannot be guarded."""
        if not forwards or websocket:
            return "nothing says here whether a login succeeded; name a `service`, or remove `login_guard`"
        if self.account.header is None and not set(methods) - {"GET", "HEAD", "OPTIONS"}:
            return "nobody logs in with GET; add POST to `methods`, or remove `login_guard`"
        return None


def text(guard: dict[str, Any]) -> str:
    """In one line: what is counted, and what becomes of it."""
    place = " ".join(next(iter(guard["account"].items())))
    limits = guard["thresholds"]
    slow, ban = guard["slow_ms"] / 1000, guard["ban_ms"] / 1000
    answers = [f"waits {slow:g} s"] if slow else []
    answers += ["refused", f"banned for {ban:g} s"] if ban else ["refused"]
    asked = f"; {work(guard['challenge'])}" if guard.get("challenge") else ""
    tried = "; in shadow" if guard.get("shadow") else ""
    return (
        f"{guard['kind']}, account in {place}; {limits['accounts']} accounts, {limits['failures']} failures or {limits['guesses']} "
        f"guesses of an address in {guard['window_ms'] / 1000:g} s: {', '.join(answers)}{_said_by(guard)}{asked}{tried}"
    )


def _said_by(guard: dict[str, Any]) -> str:
    """Which values of an answer's body decide."""
    found = {"failed": guard.get("failed", {}).get("body"), "passed": guard.get("passed")}
    return "".join(
        f"; {what} with {body['pointer']}" + (f" {json.dumps(body['value'])}" if "value" in body else "")
        for what, body in found.items()
        if body
    )
