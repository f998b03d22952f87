"""A list of addresses that is cut, replaced by something else or endless: nobody gets in, and nobody is kept out, by that."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.origin import Origin

DAMAGED = {
    "cut in a network": "192.0.2.1\n10.0.0.0/1",
    "cut in an address": "192.0.2.1\n192.0.2.12",
    "a page of an error": "<!doctype html><title>502 Bad Gateway</title>\n",
    "nothing": "",
    "only comments": "# moved to another place\n",
    "a network with bits of an address": "10.1.2.3/8\n",
    "a host name": "example.com\n",
    "octal": "010.0.0.1\n",
    "bytes": "192.0.2.1\n\x00\x00\x00\x00\n",
    "a line without end": "1" * 100_000,
    "everybody, backwards": "255.255.255.255-0.0.0.0\n",
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("use", ["allow", "deny"])
def test_what_is_damaged_decides_nothing(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], tmp_path: Path, kind: str, use: str
) -> None:
    service = origin()
    file = tmp_path / "list.txt"
    file.write_text(DAMAGED[kind])
    config = configs.public(service, address_filter={use: "some"})
    config["address_lists"] = {"some": {"file": str(file)}}
    gate = gateway(config)
    reply = gate.get("/")
    assert (reply.status, reply.reason) == (503, "address_list_unavailable")
    assert service.saw_nothing()
    assert "list.txt" not in reply.body.decode()


@pytest.mark.parametrize("kind", ["a directory", "a pipe", "unreadable links"])
def test_what_is_no_file_is_not_waited_for(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], tmp_path: Path, kind: str
) -> None:
    service = origin()
    file = tmp_path / "list.txt"
    if kind == "a directory":
        file.mkdir()
    elif kind == "a pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(file)
    config = configs.public(service, address_filter={"deny": "some"})
    config["address_lists"] = {"some": {"file": str(file)}}
    assert gateway(config).get("/").reason == "address_list_unavailable"
    assert service.saw_nothing()
