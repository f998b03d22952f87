"""Where state is kept that outlives the process: a directory of this machine, a Redis that instances share, or both."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, model_validator

from yett.config import units
from yett.config.base import Model, refuse
from yett.config.types import Name, Plaintext, PublicFile, Secret, Text, forbidden_host, quantified
from yett.config.units import Duration

if TYPE_CHECKING:
    from yett.config.merge import Merger
    from yett.config.places import Places
    from yett.config.resolve import Material

_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_HOW = 'write `rediss://redis.internal:6379`, or `redis://…` with `plaintext: "reason"`'
_SENTINEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]{0,252})(?::([1-9]\d{0,4}))?", re.ASCII)
_DATABASE = re.compile(r"/?|/(\d{1,4})", re.ASCII)


def _url(value: Any) -> Any:
    try:
        parts = urlsplit(value) if isinstance(value, str) else urlsplit("")
        port = parts.port
    except ValueError:
        raise refuse("url_invalid", f"this is no address of a Redis; {_HOW}") from None
    # never the value itself: what does not belong there may be a password
    if "@" in (parts.netloc or "") or (
        isinstance(value, str) and parts.scheme not in {"redis", "rediss"} and "@" in value
    ):
        raise refuse(
            "secret_inline",
            "an address carries no user or password; write `username: …` and `password: {file: path}` beside it",
        )
    if (
        parts.scheme not in {"redis", "rediss"}
        or not parts.hostname
        or port == 0
        or re.search(r"\s", str(value))
    ):
        raise refuse("url_invalid", f"`{value}` is no address of a Redis; {_HOW}")
    if parts.query or parts.fragment or not _DATABASE.fullmatch(parts.path):
        raise refuse("url_invalid", f"`{value}` has more than host, port and a number of a database; {_HOW}")
    why = forbidden_host(parts.hostname)
    if why:
        raise refuse("address_forbidden", f"`{parts.hostname}` {why}; it is never contacted")
    return value


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value):
        raise refuse(
            "name_invalid", f"`{value}` is no prefix; use up to 64 letters, digits, `-`, `_` and `.`"
        )
    return value


def _between(least: int, most: int, example: str) -> Any:
    def check(value: str) -> str:
        if not least <= units.milliseconds(value) <= most:
            raise refuse("out_of_range", f"`{value}` is out of range; write {example}")
        return value

    return AfterValidator(check)


def _addresses(value: Any, what: str, example: str) -> Any:
    def judge(name: str) -> None:
        found = _SENTINEL.fullmatch(name)
        if not found or int(found[2] or 1) > 65535:
            raise refuse("url_invalid", f"`{name}` is no address of {what}; write `{example}`")
        if why := forbidden_host(found[1]):
            raise refuse("address_forbidden", f"`{found[1]}` {why}; it is never contacted")

    return quantified(value, ("any_of",), judge)[1]


def _sentinels(value: Any) -> Any:
    return _addresses(value, "a Sentinel", "sentinel-2.internal:26379")


def _nodes(value: Any) -> Any:
    return _addresses(value, "a node of a cluster", "redis-2.internal:6379")


class Sentinel(Model):
    """Redis Sentinel: it says which Redis is the master, also after a failover."""

    master: Name
    """What the Sentinels call it."""
    further: Annotated[
        tuple[str, ...],
        BeforeValidator(_sentinels),
        WithJsonSchema({"type": ["string", "object"], "examples": ["sentinel-2.internal:26379"]}),
    ] = ()
    """Sentinels beside that of `url`, as `host:port`."""
    username: Text | None = None
    """User of their access control list."""
    password: Secret | None = None
    """Their password; that of the Redis itself stands beside `url`."""


class Redis(Model):
    """A Redis (6.2 or newer) or Valkey that instances share."""

    url: Annotated[
        str,
        BeforeValidator(_url),
        WithJsonSchema({"type": "string", "examples": ["rediss://redis.internal:6379"]}),
    ]
    """`rediss://host:port`, with TLS; `redis://` needs `plaintext`. A path is the number of the database: `/1`. With `sentinel` it
    is the address of a Sentinel."""
    sentinel: Sentinel | None = None
    """Sentinels that say where the Redis is."""
    cluster: (
        Annotated[
            tuple[str, ...],
            BeforeValidator(_nodes),
            WithJsonSchema({"type": ["string", "object"], "examples": ["redis-2.internal:6379"]}),
        ]
        | None
    ) = None
    """Further nodes of a Redis Cluster, as `host:port`; `url` is the address of one of them then."""
    plaintext: Plaintext | None = None
    """Why plain text is fine here."""
    username: Text | None = None
    """User of its access control list."""
    password: Secret | None = None
    """Its password."""
    ca: PublicFile | None = None
    """PEM of the authorities that vouch for it; those of the system otherwise."""
    deadline: Annotated[Duration, _between(1, 10_000, "1ms to 10s, such as `20ms`")] = "20ms"
    """Time for an answer; what takes longer is refused."""
    prefix: Annotated[str, AfterValidator(_prefix)] = "yett"
    """What all keys begin with; installations that share a server have one each."""
    stale: Annotated[Duration, _between(1_000, 3_600_000, "1s to 1h, such as `10s`")] = "10s"
    """How long what is known of revocations may be out of date before `state_loss` says what happens."""
    state_loss: Literal["refuse", "local"] = "refuse"
    """What happens to requests of verified callers then: they are refused, or (`local`) decided by what is known here."""


class State(Model):
    """Where state is kept that outlives the process."""

    directory: Text | None = None
    """A directory that only the gateway reads and writes; instances of one machine and configuration may share it."""
    redis: Redis | None = None
    """A server that instances share."""

    @model_validator(mode="after")
    def _somewhere(self) -> State:
        if self.directory is None and self.redis is None:
            raise refuse("state_nowhere", "write `directory: /var/lib/yett`, `redis: {url: …}`, or both")
        return self


def state_directory(state: State, places: Places) -> Path | None:
    """The directory as an absolute path."""
    return None if state.directory is None else Path((places.base(("state",)) / state.directory).absolute())


def check_state(merger: Merger) -> None:
    """An address without TLS carries a reason, one with TLS carries none."""
    redis = merger.gateway.state.redis if merger.gateway.state else None
    if redis is None:
        return
    at = ("state", "redis")
    plain = redis.url.startswith("redis://")
    if plain and redis.plaintext is None:
        merger.fault(
            (*at, "url"),
            "plaintext_reason",
            'sessions and revocations would cross the network in plain text; use `rediss://`, or say why it is fine: `plaintext: "reason"`',
        )
    if plain and redis.ca:
        merger.fault(
            (*at, "ca"),
            "key_unused",
            "without TLS nobody shows a certificate; remove `ca`, or use `rediss://`",
        )
    if redis.cluster is not None and redis.sentinel is not None:
        message = "a cluster says itself where its masters are; remove `sentinel`, or `cluster`"
        merger.fault((*at, "sentinel"), "key_unused", message, True)
    if redis.cluster is not None and urlsplit(redis.url).path.strip("/") not in {"", "0"}:
        message = "a cluster has one database; remove the path of the address"
        merger.fault((*at, "url"), "url_invalid", message)
    if not plain and redis.plaintext is not None:
        merger.fault((*at, "plaintext"), "plaintext_unused", "`rediss://` is TLS; remove `plaintext`")
    for place, item in ((at, redis), ((*at, "sentinel"), redis.sentinel)):
        if item is not None and item.username is not None and item.password is None:
            merger.fault(
                (*place, "username"), "password_missing", "a user needs a password: `password: {file: path}`"
            )


def compiled(state: State, places: Places, material: Material) -> dict[str, Any]:
    """Its part of the IR."""
    from yett.config.resolve import secret_name  # it imports the models

    document: dict[str, Any] = {}
    directory = state_directory(state, places)
    if directory is not None:
        document["directory"] = str(directory)
    redis = state.redis
    if redis is not None:
        parts = urlsplit(redis.url)
        at = ("state", "redis")
        document["redis"] = {
            "host": parts.hostname, "port": parts.port or (26379 if redis.sentinel else 6379), "tls": parts.scheme == "rediss",
            "database": int(parts.path.strip("/") or 0), "username": redis.username,
            "password": secret_name((*at, "password")) if redis.password else None,
            "ca": material.texts.get((*at, "ca")), "deadline_ms": units.milliseconds(redis.deadline),
            "prefix": redis.prefix, "stale_ms": units.milliseconds(redis.stale), "state_loss": redis.state_loss,
        }  # fmt: skip
        if redis.cluster is not None:
            nodes = [name.partition(":") for name in redis.cluster]
            document["redis"]["cluster"] = [
                {"host": host, "port": int(port or 6379)} for host, _, port in nodes
            ]
        if redis.sentinel is not None:
            further = [name.partition(":") for name in redis.sentinel.further]
            document["redis"]["sentinel"] = {
                "master": redis.sentinel.master,
                "further": [{"host": host, "port": int(port or 26379)} for host, _, port in further],
                **({"username": redis.sentinel.username} if redis.sentinel.username else {}),
                **(
                    {"password": secret_name((*at, "sentinel", "password"))}
                    if redis.sentinel.password
                    else {}
                ),
            }
    return document


def weakened(state: State) -> list[str]:
    """What is weaker than it could be, in sentences."""
    redis = state.redis
    if redis is None:
        return []
    found = []
    if redis.plaintext:
        found.append(f"the Redis of `state` is reached in plain text: {redis.plaintext}")
    if redis.state_loss == "local":
        found.append(
            f"where the Redis of `state` is out of reach for more than {redis.stale}, revocations made elsewhere are not "
            "waited for (`state_loss: local`)"
        )
    return found
