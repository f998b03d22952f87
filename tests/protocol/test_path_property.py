"""Property: the target that a service sees is byte for byte the one that was sent, or the request is refused; and no
spelling of a protected path passes without a credential."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.issuer import Issuer
from tests.support.origin import Origin
from tests.support.wire import head

SETTINGS = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    directory = tmp_path_factory.mktemp("gateway")
    service, identity = Origin(), Issuer()
    config = configs.protected(service, identity, directory)
    config["routes"] = {
        "all": configs.route("/{rest...}", "GET"),
        "admin": configs.route("/admin", "GET", authenticate="id", access="authenticated"),
        "inside": configs.route("/admin/{rest...}", "GET", authenticate="id", access="authenticated"),
    }
    gate = Gateway(config, 1, directory)
    yield gate, service
    gate.stop()
    service.close()
    identity.close()


def ask(gate, target):
    with gate.connect() as wire:
        return wire.send(head("GET", target)).reply()


PIECES = st.sampled_from(
    [
        "a",
        "admin",
        "A",
        "/",
        "//",
        ".",
        "..",
        "%2e",
        "%2E",
        "%2f",
        "%5c",
        "\\",
        ";",
        "%",
        "%2",
        "%00",
        "%61",
        "%c3%a9",
        "%ff",
        "%25",
        "%252e",
        "é",
        "~",
        "%7e",
        "?",
        "#",
        "=",
        "&",
        "+",
        "%20",
        "%0a",
        ":",
        "@",
        "*",
        "(",
        "'",
        "%e2%82%ac",
    ]
)
TARGET = (
    st.lists(PIECES, max_size=8).map(lambda parts: "/" + "".join(parts)).filter(lambda text: text.isascii())
)


@SETTINGS
@given(target=TARGET)
def test_the_service_sees_what_was_sent_or_nothing(shop, target):
    gate, service = shop
    service.forget()
    answer = ask(gate, target)
    if answer.status == 200:
        assert [seen.target for seen in service.requests] == [target]
        path = target.partition("?")[0]
        decoded = unquote_to_bytes(path).decode("utf-8")  # has to be valid
        assert not re.search(r"[\x00-\x1f\x7f\\]|//|/\.{1,2}(/|$)", decoded), target
        assert not re.search(r"%(25)*(2e|2f|5c)", path.lower().replace("%25", "%25")) or "%2e" in path.lower()
    else:
        assert answer.status in (400, 401, 404)
        assert not service.requests


def folded(path: str) -> str:
    """As the laxest service might read it: decoded twice, backslashes and dots resolved, slashes merged, case folded."""
    for _ in range(3):
        path = unquote_to_bytes(path).decode("latin-1")
    path = path.replace("\\", "/").split("?")[0].split("#")[0]
    out: list[str] = []
    for segment in path.split("/"):
        segment = segment.split(";")[0].strip("\x00")
        if segment == "..":
            del out[-1:]
        elif segment not in ("", "."):
            out.append(segment)
    return "/" + "/".join(out)


@SETTINGS
@given(
    target=st.lists(st.one_of(PIECES, st.just("admin"), st.just("/admin/")), max_size=6)
    .map(lambda p: "/" + "".join(p))
    .filter(str.isascii)
)
def test_no_spelling_of_a_protected_path_is_open(shop, target):
    gate, service = shop
    service.forget()
    answer = ask(gate, target)
    if folded(target) == "/admin" or folded(target).startswith("/admin/"):
        assert answer.status != 200, f"{target} reached the service as {folded(target)}"
        assert not service.requests
