"""The engine: a configuration that answers what would become of a request."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from yett.control.source import Loaded


class Unanswerable(ValueError):
    """A question that no connection could bring, in words."""


@dataclass(frozen=True)
class Question:
    """A request, and what its connection would have known.

    `time_ms` is milliseconds since 1970, now where it is missing; `certificate` is DER, taken as verified.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    listener: str | None = None
    address: str = "192.0.2.1"
    certificate: bytes | None = None
    time_ms: int | None = None
    principals: tuple[dict[str, Any], ...] = ()
    """Callers that are taken as verified: `provider`, and `claims` or `name`."""
    times: int = 1
    """How often it is asked in a row; the last answer counts."""
    body: bytes | None = None
    external: str | None = None
    """What the route's external check is taken to say: `allow` or `deny`. It is never asked; where this is missing, it is
    `external_unavailable`."""
    ja4: str | None = None
    """What the client's hello of TLS says of its program; on a listener with TLS nothing is known of it where this is missing."""


class Engine:
    """A whole configuration. Nothing listens and nothing is forwarded; key sets are fetched as a gateway fetches them."""

    def __init__(self, ir: bytes, secrets: dict[str, bytes], *, offline: bool = False) -> None:
        """`offline`: nobody is asked for key sets or about tokens; a question that needs that is refused.

        Raises `yett._core.ApplyError` where the document does not load.
        """
        from yett import _core

        self._core = _core.Engine(ir, secrets, offline=offline)
        document: dict[str, Any] = json.loads(ir)
        self.document = document
        self._tls = {listener["name"]: listener.get("tls") is not None for listener in document["listeners"]}
        self._by_scheme: dict[str, str] = {}
        self.providers: list[dict[str, Any]] = document["providers"]
        self.routes: list[dict[str, Any]] = document["routes"]
        self.addresses: dict[str, tuple[str, ...]] = {}
        """Of an engine that asks no address: which filters of addresses and places each route has, by their sources."""

    @property
    def listeners(self) -> tuple[str, ...]:
        """Names of the listeners."""
        return tuple(self._tls)

    def decide(self, question: Question) -> dict[str, Any]:
        """What would become of the request.

        Raises:
            Unanswerable: the question is none, such as one about a listener that is not there.
        """
        asked = self.asked(question)
        try:
            decision: dict[str, Any] = json.loads(self._core.decide(json.dumps(asked).encode()))
        except ValueError as error:
            raise Unanswerable(str(error)) from None
        return {"listener": asked["listener"], **decision}

    def alone(self, question: Question, *, trace: bool = False) -> dict[str, Any]:
        """What would become of the request if it were the only one; what was asked before says nothing about it.

        Raises:
            Unanswerable: the question is none.
        """
        asked = self.asked(question)
        if trace:
            asked["trace"] = True
        decision = self.decide_many([asked])[0]
        if "error" in decision:
            raise Unanswerable(decision["error"])
        return decision

    def decide_many(self, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Decisions of what `asked` made, each as if it were the only one. `error` stands alone where it is no question.

        Where `brief` was set in one, its decision has no more than `outcome`, `status`, `refusal` (`reason`, `rule`, perhaps
        `errors`), `route`, `service` and `shadow`.

        Raises:
            Unanswerable: one of them has a value that is none, so that nothing is answered.
        """
        try:
            answers = json.loads(self._core.decide_many(_batch(asked)))
        except ValueError as error:
            raise Unanswerable(str(error)) from None
        return [{"listener": one["listener"], **answer} for one, answer in zip(asked, answers, strict=True)]

    def asked(self, question: Question) -> dict[str, Any]:
        """The question as the native module takes it.

        Raises:
            Unanswerable: the URL is none, or fits several listeners; an address or moment is none.
        """
        _check(question)
        listener = question.listener or self._listener(question.url)
        parts, target = split(question.url)
        asked: dict[str, Any] = {
            "listener": listener,
            "method": question.method,
            "target": target,
            "headers": [("Host", parts), *question.headers],
            "address": question.address,
        }
        if self._tls.get(listener):
            asked["server_name"] = host_of(parts)
        if question.certificate is not None:
            asked["certificate"] = question.certificate.hex()
        if question.ja4 is not None:
            asked["ja4"] = question.ja4
        if question.time_ms is not None:
            asked["time_ms"] = question.time_ms
        if question.body is not None:
            asked["body"] = question.body.hex()
        if question.principals:
            asked["principals"] = question.principals
        if question.external is not None:
            asked["external"] = question.external
        if question.times > 1:
            asked["times"] = question.times
        return asked

    def _listener(self, url: str) -> str:
        scheme = url.partition(":")[0].lower()
        if scheme not in self._by_scheme:
            self._by_scheme[scheme] = self._fitting(scheme == "https")
        return self._by_scheme[scheme]

    def _fitting(self, wanted: bool) -> str:
        fitting = [name for name, tls in self._tls.items() if tls is wanted] or list(self._tls)
        if len(fitting) == 1:
            return str(fitting[0])
        names = ", ".join(f"`{name}`" for name in fitting)
        raise Unanswerable(f"say on which listener, with `--listener`: {names}")


def _check(question: Question) -> None:
    """What no connection brings, in words that name no value but the address."""
    texts = {"the method": question.method, "the URL": question.url}
    texts |= {f"the header field `{name}`": f"{name}{value}" for name, value in question.headers}
    for what, text in texts.items():
        if not text.isascii() and any("\ud800" <= one <= "\udfff" for one in text):
            raise Unanswerable(f"{what} has bytes that are not UTF-8; in a URL write them as `%FF`")
    if not _is_address(question.address):
        raise Unanswerable(f"`{question.address}` is no address; write one such as `192.0.2.1`")
    if question.time_ms is not None and not 0 <= question.time_ms < 1 << 63:
        raise Unanswerable("a moment before 1970 is none that a request can come at")


@lru_cache(maxsize=1024)
def _is_address(text: str) -> bool:
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def shown(url: str) -> str:
    """A URL that may be printed: without user, password, query and fragment. Where it is none, an `@` ends what may be a password."""
    text = re.split("[?#]", url, maxsplit=1)[0]
    scheme, mark, rest = text.partition("://")
    if scheme.lower() not in {"http", "https"} or rest[:1] in {"", "/"}:
        return re.sub("[^/]*@", "", text)
    authority, slash, path = rest.partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"


def _batch(asked: list[dict[str, Any]]) -> bytes:
    """The questions as one document, in which the same callers stand once: there may be thousands of questions of a few."""
    callers: list[Any] = []
    places: dict[int, int] = {}
    questions = [dict(one) for one in asked]
    for one in questions:
        who = one.pop("principals", None)
        if who is not None:
            one["callers"] = places.setdefault(id(who), len(callers))
            if one["callers"] == len(callers):
                callers.append(who)
    return json.dumps({"callers": callers, "questions": questions}).encode()


def outcome(decision: dict[str, Any]) -> str:
    """`allow`, `answer`, or the reason of the refusal."""
    if "error" in decision:
        return f"no answer: {decision['error']}"
    refusal = decision["refusal"]
    return str(refusal["reason"] if refusal else decision["outcome"])


def forwarded(decision: dict[str, Any]) -> dict[str, list[str]]:
    """Header fields that the service would see, names in lower case; nothing where none sees it."""
    found: dict[str, list[str]] = {}
    for name, value in (decision["forward"] or {}).get("headers", ()):
        found.setdefault(name.lower(), []).append(value)
    return found


@lru_cache(maxsize=1024)
def split(url: str) -> tuple[str, str]:
    """Authority and request target of a URL, both exactly as they stand there.

    Raises:
        Unanswerable: it has no scheme or host.
    """
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.lower() not in {"http", "https"} or not rest or rest[0] in "/?#":
        raise Unanswerable(f"`{shown(url)}` is no URL; write one such as `https://api.example.com/orders/17`")
    end = min((at for at in (rest.find(mark) for mark in "/?") if at >= 0), default=len(rest))
    authority, target = rest[:end], rest[end:].partition("#")[0]
    return authority, target if target.startswith("/") else f"/{target}"


@lru_cache(maxsize=1024)
def host_of(authority: str) -> str:
    """The name alone, without a port."""
    name: str | None = urlsplit(f"//{authority}").hostname
    return name or ""


def from_file(file: Path, *, offline: bool = False) -> Engine:
    """The engine of a configuration file.

    Raises:
        yett.control.source.Refused: with everything that is wrong with it.
    """
    from yett.control import source

    return of_loaded(source.read(file), file, offline=offline)


def from_anywhere(file: Path, *, offline: bool = False) -> Engine:
    """The engine of a configuration file without its filters of addresses and places, which are conditions and no callers.

    Raises:
        yett.control.source.Refused: with everything that is wrong with it.
    """
    whole = from_file(file, offline=offline)
    filters = ("address_filters", "geo_filters")
    by_listener = {one["name"]: _sources(one, filters) for one in whole.document["listeners"]}
    found = {
        route["name"]: (
            *dict.fromkeys(s for name in route["listeners"] for s in by_listener[name]),
            *_sources(route, filters),
        )
        for route in whole.routes
    }
    if not any(found.values()):
        return whole
    from yett.control import source

    loaded = source.read(file)
    document = json.loads(loaded.ir)
    for part in (*document["listeners"], *document["routes"]):
        for kind in filters:
            part.pop(kind, None)
    engine = Engine(json.dumps(document).encode(), loaded.secrets, offline=offline)
    engine.addresses = found
    return engine


def _sources(part: dict[str, Any], kinds: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one["source"] for kind in kinds for one in part.get(kind, ())))


def of_loaded(loaded: Loaded, file: Path, *, offline: bool = False) -> Engine:
    """The engine of a configuration that was read.

    Raises:
        yett.control.source.Refused: the data plane cannot carry it out.
    """
    from yett import _core
    from yett.control import source
    from yett.control.placed import problems

    try:
        return Engine(loaded.ir, loaded.secrets, offline=offline)
    except _core.ApplyError as error:
        raise source.Refused(problems(json.loads(error.args[0]), loaded, file)) from None


def header(text: str) -> tuple[str, str]:
    """`Name: value`, or `Name: @FILE` for a value that should not stand on a command line.

    Raises:
        Unanswerable: it has no colon, or the file cannot be read. Nothing of the text is told: it may be a secret.
    """
    name, mark, value = text.partition(":")
    if not mark or not name.strip():
        raise Unanswerable("a header has no `:` after its name; write `Name: value`, or `Name: @FILE`")
    value = value.strip()
    return name.strip(), secret_text(value[1:]) if value.startswith("@") else value


def secret_text(path: str) -> str:
    """The text of a file without white space around it; `-` is standard input.

    Raises:
        Unanswerable: it cannot be read.
    """
    import sys

    try:
        text: str = sys.stdin.read() if path == "-" else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Unanswerable(
            f"`{path}` cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}"
        ) from None
    return text.strip()


def secret_bytes(path: str) -> bytes:
    """The bytes of a secret as a configuration reads it: without one line end at the end.

    Raises:
        Unanswerable: it cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise Unanswerable(f"`{path}` cannot be read: {(error.strerror or 'error').lower()}") from None
    return data.removesuffix(b"\n").removesuffix(b"\r")


def headers(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Each of `Name: value`."""
    return tuple(header(text) for text in texts)
