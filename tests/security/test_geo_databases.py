"""A database of places that is cut, damaged or of another kind, or an address of no place: nobody gets in by that."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.geo import database
from tests.support.origin import Origin


def test_what_is_damaged_lets_nobody_in(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], tmp_path: Path
) -> None:
    """Every route has a database of its own: that which is no database is `unavailable`, however it is damaged."""
    service = origin()
    whole = database(
        tmp_path / "whole.mmdb", "country", {"127.0.0.0/8": ("DE", "EU"), "192.0.2.0/24": ("DE", "EU")}
    )
    data = whole.read_bytes()
    marker = data.rindex(b"MaxMind.com")
    damaged = {
        "empty": b"",
        "half": data[: len(data) // 2],
        "no metadata": data[:marker],
        "cut metadata": data[: marker + 20],
        "no tree": data[200:],
        "a page": b"<!doctype html><title>502 Bad Gateway</title>\n",
        "another kind": database(tmp_path / "asn.mmdb", "asn", {"192.0.2.0/24": 64496}).read_bytes(),
    }
    trusted = {"addresses": ["127.0.0.1/32"], "header": "x-forwarded-for"}
    config = configs.public(
        service, geo_filter={"countries": {"allow": "DE"}, "unknown": "allow", "private": "allow"}
    )
    config["listeners"] = configs.listener(trusted_proxies=trusted)
    gate: Gateway | None = None
    for name, content in damaged.items():
        file = tmp_path / f"{name}.mmdb"
        file.write_bytes(content)
        config["geo"] = {"country": str(file)}
        gate = gateway(config) if gate is None else gate
        gate.reload(config)
        reply = gate.get("/", {"X-Forwarded-For": "192.0.2.1"})
        assert (reply.status, reply.reason) == (503, "geo_unavailable"), name
        assert b".mmdb" not in reply.body
    assert gate is not None and service.saw_nothing()
    # With bits changed at random it may still be a database; the gateway lives, and answers.
    chance = random.Random(9)
    for _ in range(25):
        bits = bytearray(data)
        for _ in range(3):
            bits[chance.randrange(len(bits))] ^= 1 << chance.randrange(8)
        file = tmp_path / "flipped.mmdb"
        file.write_bytes(bytes(bits))
        config["geo"] = {"country": str(file)}
        config["access_log"] = "off"
        gate.reload({**config, "geo": {"country": str(file), "max_age": "1d"}})
        assert gate.get("/", {"X-Forwarded-For": "192.0.2.1"}).status in {200, 403, 503}


def test_who_is_not_believed_is_at_no_other_place(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], tmp_path: Path
) -> None:
    service = origin()
    file = database(tmp_path / "country.mmdb", "country", {"192.0.2.0/24": ("DE", "EU")})
    config = configs.public(service, geo_filter={"countries": {"allow": "DE"}})
    config["geo"] = {"country": str(file)}
    gate = gateway(config)
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-IPCountry", "X-Country-Code"):
        value = "for=192.0.2.1" if header == "Forwarded" else "192.0.2.1"
        reply = gate.get("/", {header: "DE" if "ountry" in header else value})
        assert (reply.status, reply.reason) == (403, "geo_unknown"), header
    assert service.saw_nothing()
