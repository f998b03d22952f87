"""From files of tests to questions: everything that is wrong with them at once, each with its place."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from yett.config.base import Location, listed, nearest
from yett.config.messages import translate
from yett.config.places import Places, Source
from yett.config.reading import Unreadable, find_nulls, parse
from yett.errors import ConfigError
from yett.policy.engine import Engine, Question, Unanswerable, secret_text
from yett.policy.testing.model import NOBODY, Expect, PolicyTest, PolicyTests, Principal
from yett.policy.testing.principals import Principals, Unknown
from yett.reasons import REASONS

MAX_BYTES = 16 << 20
OUTCOMES = ("allow", "answer")
EXPECTED = dict.fromkeys((*OUTCOMES, *REASONS))
SHADOWED = dict.fromkeys(("allow", "deny", "error", *REASONS))
"""What may be expected of a rule in shadow."""


@dataclass(frozen=True)
class Case:
    """One request and what has to come of it."""

    name: str
    places: Places
    at: Location
    """Where it stands."""
    question: Question
    asked: dict[str, Any]
    expect: Expect

    @cached_property
    def _place(self) -> ConfigError:
        """Looked for when somebody asks: of a test that passes nobody does."""
        return self.places.error(self.at, "", "", key=True)

    @property
    def file(self) -> str:
        """The file that it stands in."""
        return self._place.file

    @property
    def line(self) -> int:
        """From 1."""
        return self._place.line

    @property
    def column(self) -> int:
        """From 1."""
        return self._place.column


def _shadow_limits(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for part in (*document["listeners"], *document["routes"]):
        yield from part.get("shadow_limits", ())


class Reader:
    """Reads files of tests against one configuration."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.errors: list[ConfigError] = []
        document = engine.document
        self._known = {
            "route": dict.fromkeys(route["name"] for route in document["routes"]),
            "service": dict.fromkeys(service["name"] for service in document["services"]),
            "listener": dict.fromkeys(engine.listeners),
            "rule in shadow": dict.fromkeys(
                sorted(
                    {
                        rule["source"]
                        for route in document["routes"]
                        for rules in route.get("shadow", {}).values()
                        for rule in rules
                    }
                    | {limit["source"] for limit in _shadow_limits(document)}
                )
            ),
        }

    def read(self, path: Path) -> list[Case]:
        """The cases of a file. What is wrong with it stands in `errors`."""
        source = self._source(path)
        if source is None:
            return []
        places = Places(source, str(path), path.parent)
        for location in find_nulls(source):
            text = "nothing is written here; give a value, or remove the key"
            self.errors.append(places.error(location, "value_missing", text, isinstance(location[-1], str)))
        try:
            model = PolicyTests.model_validate(source.value)
        except ValidationError as error:
            self.errors += translate(error, PolicyTests, places)
            return []
        return _File(self, model, places).cases()

    def _source(self, path: Path) -> Source | None:
        try:
            data = path.read_bytes()
            if len(data) > MAX_BYTES:
                text = f"the file is larger than {MAX_BYTES >> 20} MiB; split it"
                self.errors.append(ConfigError(str(path), 0, 0, "", text, "file_too_large"))
                return None
            return parse(data, path, str(path))
        except Unreadable as unreadable:
            self.errors.append(unreadable.error)
        except OSError as error:
            text = f"the file cannot be read ({(error.strerror or 'error').lower()})"
            self.errors.append(ConfigError(str(path), 0, 0, "", text, "file_missing"))
        return None

    def known(self, kind: str) -> dict[str, None]:
        """Names of routes, services or listeners of the configuration."""
        return self._known[kind]


class _File:
    """One file."""

    def __init__(self, reader: Reader, model: PolicyTests, places: Places) -> None:
        self.reader, self.model, self.places = reader, model, places
        self.principals = Principals(reader.engine.document, model.principals)
        self._assumed: dict[str, tuple[dict[str, Any], ...] | None] = {}

    def cases(self) -> list[Case]:
        for name, principal in self.model.principals.items():
            self._named(name, principal, ("principals", name))
        if self.model.listener is not None:
            self._reference("listener", self.model.listener, ("listener",))
        return [case for name, test in self.model.tests.items() for case in self._test(name, test)]

    def _fault(self, at: Location, code: str, message: str) -> None:
        self.reader.errors.append(self.places.error(self._written(at), code, message))

    def _written(self, at: Location) -> Location:
        """Without what stands in the place of a text: `expect: allow` has no key `outcome`."""
        here: Any = self.places.main.value if self.places.main else None
        found: Location = ()
        for step in at:
            if isinstance(here, str):
                break
            if isinstance(step, int) and not isinstance(here, list):
                continue
            found = (*found, step)
            there = isinstance(here, dict) and step in here
            if isinstance(here, list) and isinstance(step, int) and step < len(here):
                here = here[step]
            else:
                here = here[step] if there else None
        return found

    def _test(self, name: str, test: PolicyTest) -> Iterator[Case]:
        at: Location = ("tests", name)
        common = self._common(test, at)
        if test.requests:
            callers = self._callers(test.principal, (*at, "principal"))
            for request, expect in test.requests.items():
                here = (*at, "requests", request)
                yield from self._case(f"{name}: {request}", request, here, callers, common, expect, here)
        elif test.principals:
            for caller, expect in test.principals.items():
                here = (*at, "principals", caller)
                callers = self._by_name(caller, here)
                yield from self._case(
                    f"{name}: {caller}", test.request or "", (*at, "request"), callers, common, expect, here
                )
        elif test.expect is not None:
            callers = self._callers(test.principal, (*at, "principal"))
            where = (*at, "expect")
            yield from self._case(
                name, test.request or "", (*at, "request"), callers, common, test.expect, where, at
            )

    def _case(
        self,
        name: str,
        request: str,
        request_at: Location,
        callers: tuple[dict[str, Any], ...] | None,
        common: dict[str, Any] | None,
        expect: Expect,
        expect_at: Location,
        place: Location | None = None,
    ) -> Iterator[Case]:
        self._expectation(expect, expect_at)
        method, _, url = request.strip().partition(" ")
        url = url.strip()
        if not url:
            self._fault(
                request_at,
                "request_invalid",
                f"`{request}` is no request; write `GET https://api.example.com/orders/17`",
            )
            return
        if url.startswith("/"):
            if self.model.base is None:
                self._fault(
                    request_at,
                    "request_invalid",
                    f"`{url}` has no host; write the whole URL, or `base` at the top of the file",
                )
                return
            url = self.model.base.rstrip("/") + url
        if common is None or callers is None:
            return
        question = Question(method, url, principals=callers, **common)
        try:
            asked = self.reader.engine.asked(question)
        except Unanswerable as error:
            self._fault(
                request_at, "request_invalid", str(error).replace("with `--listener`", "with `listener`")
            )
            return
        if expect.target is None and not (expect.headers or expect.without):
            asked["brief"] = True
        yield Case(name, self.places, place or expect_at, question, asked, expect)

    def _common(self, test: PolicyTest, at: Location) -> dict[str, Any] | None:
        """What all requests of a test share; nothing where something is wrong with it."""
        before = len(self.reader.errors)
        headers = list(test.headers.items())
        if test.token_file is not None:
            text = self._text(test.token_file, (*at, "token_file"))
            headers.append(("Authorization", f"Bearer {text}"))
        body = _body(test.body)
        if body is not None and not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", "application/json"))
        listener = test.listener or self.model.listener
        if test.listener is not None:
            self._reference("listener", test.listener, (*at, "listener"))
        address = test.address or self.model.address or "192.0.2.1"
        try:
            ipaddress.ip_address(address)
        except ValueError:
            where: Location = (*at, "address") if test.address else ("address",)
            self._fault(where, "address_invalid", f"`{address}` is no address; write for example `192.0.2.1`")
        time = test.time or self.model.time
        time_ms = None
        if time is not None:
            try:
                moment = datetime.fromisoformat(time)
                time_ms = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
            except ValueError:
                where = (*at, "time") if test.time else ("time",)
                self._fault(
                    where, "time_invalid", f"`{time}` is no moment; write one such as 2026-11-28T12:00:00Z"
                )
        certificate = self._certificate(test.certificate, (*at, "certificate")) if test.certificate else None
        if len(self.reader.errors) > before:
            return None
        return {
            "headers": tuple(headers), "listener": listener, "address": address, "time_ms": time_ms,
            "certificate": certificate, "times": test.times, "body": body,
            "external": test.external, "ja4": test.ja4,
        }  # fmt: skip

    def _text(self, name: str, at: Location) -> str:
        try:
            return secret_text(str(self.places.directory / name))
        except Unanswerable as error:
            self._fault(at, "file_missing", f"{error}; paths are relative to this file")
            return ""

    def _certificate(self, name: str, at: Location) -> bytes | None:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        try:
            data = (self.places.directory / name).read_bytes()
            return x509.load_pem_x509_certificate(data).public_bytes(Encoding.DER)
        except (OSError, ValueError):
            self._fault(
                at, "file_missing", f"`{name}` holds no certificate; give its PEM, relative to this file"
            )
            return None

    def _callers(
        self, principals: tuple[Principal, ...] | None, at: Location
    ) -> tuple[dict[str, Any], ...] | None:
        found: list[dict[str, Any]] = []
        for index, principal in enumerate(principals or ()):
            try:
                assumed = self.principals.assumed(principal)
            except Unknown as error:
                self._fault((*at, index, *error.at), "principal_unknown", str(error))
                return None
            if assumed is not None:
                found.append(assumed)
        return tuple(found)

    def _by_name(self, name: str, at: Location) -> tuple[dict[str, Any], ...] | None:
        if name == NOBODY:
            return ()
        if name in self._assumed:
            return self._assumed[name]
        hint = nearest(name, [*self.model.principals, NOBODY]) or (
            f"; known here: {listed([*self.model.principals, NOBODY])}"
        )
        error = self.places.error(at, "principal_unknown", f"there is no principal `{name}`{hint}", key=True)
        self.reader.errors.append(error)
        return None

    def _named(self, name: str, principal: Principal, at: Location) -> None:
        """Each once: a table asks for them many times."""
        if name == NOBODY:
            self._fault(
                at, "principal_reserved", f"`{NOBODY}` is who has no credential; give this one another name"
            )
            return
        try:
            assumed = self.principals.assumed(principal)
        except Unknown as error:
            self._fault((*at, *error.at), "principal_unknown", str(error))
            self._assumed[name] = None
        else:
            self._assumed[name] = (assumed,) if assumed is not None else ()

    def _expectation(self, expect: Expect, at: Location) -> None:
        if expect.outcome not in EXPECTED:
            hint = (
                nearest(expect.outcome, EXPECTED)
                or "; write `allow`, `answer` or a reason of docs/reasons.md"
            )
            self._fault(
                (*at, "outcome"), "reason_unknown", f"there is no outcome or reason `{expect.outcome}`{hint}"
            )
        for kind in ("route", "service"):
            name = getattr(expect, kind)
            if name is not None:
                self._reference(kind, name, (*at, kind))
        self._shadow(expect, at)
        if expect.outcome != "allow":
            for key in ("headers", "without", "target", "service"):
                if key in expect.model_fields_set:
                    self._fault(
                        (*at, key),
                        "expect_impossible",
                        f"no service sees this request; remove `{key}`, or expect `allow`",
                    )

    def _shadow(self, expect: Expect, at: Location) -> None:
        for name, wanted in expect.shadow.items():
            self._reference("rule in shadow", name, (*at, "shadow", name))
            if wanted not in SHADOWED:
                hint = (
                    nearest(wanted, SHADOWED)
                    or "; write `allow`, `deny`, `error` or a reason of docs/reasons.md"
                )
                message = f"there is no outcome or reason `{wanted}`{hint}"
                self._fault((*at, "shadow", name), "reason_unknown", message)

    def _reference(self, kind: str, name: str, at: Location) -> None:
        known = self.reader.known(kind)
        if name not in known:
            hint = nearest(name, known) or f"; known here: {listed(known)}"
            code = f"{kind.partition(' ')[0]}_unknown"
            self._fault(at, code, f"there is no {kind} `{name}`{hint}")


def _body(value: Any) -> bytes | None:
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
