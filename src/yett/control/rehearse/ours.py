"""The listener's own certificate: as it is, and as it must not become."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from yett.config.certificates import names_of, parse
from yett.control.rehearse.authority import DAY, HOUR, SERVER, Authority
from yett.control.rehearse.cases import NOT_LOADED, SERVED, Played, Stage, load
from yett.control.rehearse.scratch import Pair, Scratch

_OTHER_NAME = "yett-rehearsal.invalid"
_NO_NAME = "rehearsal.invalid"


def our_cases(
    scratch: Scratch, listener: str, tls: dict[str, Any], secrets: dict[str, bytes], now: datetime
) -> Iterator[Played]:
    """The real certificates first, to a client that trusts the top of each chain; then simulated ones in their place."""
    name = _NO_NAME
    for pair in reversed(tls["certificates"]):
        name, played = _as_configured(scratch, listener, Pair(pair["chain"], secrets[pair["key"]]))
        yield played
    for waiting in tls.get("pending", ())[:1]:
        yield _still_to_come(scratch, listener, waiting, now)
    for case, expected, make in _CASES:
        stage = Stage.built(Authority("yett rehearsal root", now))
        pair = make(stage, name)
        refused = load(scratch, pair)
        happened, detail = refused or (scratch.ask(name, stage.root.pem), "")
        yield Played(listener, f"our certificate: {case}", expected, happened, detail)


def _as_configured(scratch: Scratch, listener: str, pair: Pair) -> tuple[str, Played]:
    """A name of the certificate, and what its clients see."""
    chain = parse(pair.chain)
    names = names_of(chain[0])
    name = names[0].replace("*", "rehearsal", 1) if names else _NO_NAME
    refused = load(scratch, pair)
    trusted = chain[-1].public_bytes(Encoding.PEM).decode()
    happened, detail = refused or (scratch.ask(name, trusted), "")
    case = f"our certificate for {name}: as configured"
    return name, Played(listener, case, SERVED, happened, detail)


def _still_to_come(scratch: Scratch, listener: str, name: str, now: datetime) -> Played:
    """A name whose certificate is ordered, beside one that is served."""
    stage = Stage.built(Authority("yett rehearsal root", now))
    scratch.load(stage.pair(_OTHER_NAME), None, [name])
    happened = scratch.ask(name, stage.root.pem)
    case = f"our certificate for {name}: still to come (ACME)"
    return Played(listener, case, "the gateway refuses: no_certificate", happened)


def _leaf(stage: Stage, name: str, **options: Any) -> Pair:
    leaf = stage.intermediate.issue("yett rehearsal", names=[name], purpose=SERVER, **options)
    return Pair(leaf.pem + stage.intermediate.pem, leaf.key_pem.encode())


def _missing(stage: Stage, name: str) -> Pair:
    whole = stage.pair(name)
    return Pair(whole.chain.removesuffix(stage.intermediate.pem), whole.key)


def _misordered(stage: Stage, name: str) -> Pair:
    leaf = stage.intermediate.issue("yett rehearsal", names=[name], purpose=SERVER)
    return Pair(leaf.pem + stage.root.pem + stage.intermediate.pem, leaf.key_pem.encode())


def _ended_intermediate(stage: Stage, name: str) -> Pair:
    ended = Authority("yett rehearsal intermediate", stage.root.now, by=stage.root, until=-HOUR)
    return _leaf(Stage(stage.root, ended), name)


def _other_key(stage: Stage, name: str) -> Pair:
    return Pair(stage.pair(name).chain, stage.pair(name).key)


_CASES: tuple[tuple[str, str, Callable[[Stage, str], Pair]], ...] = (
    ("rehearsal chain in its place", SERVED, lambda stage, name: stage.pair(name)),
    ("expired", "the client refuses: expired", lambda stage, name: _leaf(stage, name, after=-2 * DAY, until=-HOUR)),
    ("not yet valid", "the client refuses: not yet valid", lambda stage, name: _leaf(stage, name, after=HOUR)),
    ("wrong name", "the client refuses: wrong name", lambda stage, _: stage.pair(_OTHER_NAME)),
    ("intermediate missing", "the client refuses: unknown issuer", _missing),
    ("chain in the wrong order", NOT_LOADED, _misordered),
    ("intermediate expired", NOT_LOADED, _ended_intermediate),
    ("key of another certificate", NOT_LOADED, _other_key),
)  # fmt: skip
