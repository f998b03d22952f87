"""The engine decides as the gateway does: the same configurations and requests, by a socket and by `decide`."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import configs
from tests.support.api_keys import KeyFile
from tests.support.gateway import compiled
from yett.policy.engine import Engine, Question, Unanswerable, header, split

PATHS = ("/a", "/a/{id}", "/{tenant}/a", "/{rest...}", "/b/{rest...}")
TARGETS = (
    "/a", "/a/1", "/acme/a", "/b/", "/b/x/y", "/b/%2e%2e/a", "/a?x=1", "/A", "/b//a", "/", "/%61", "/b?access_token=t",
)  # fmt: skip
SHADOW = {"mode": "shadow", "until": "2026-12-31"}
ACCESS: tuple[dict[str, Any], ...] = (
    {"access": "public"},
    {"authenticate": "id", "access": "authenticated"},
    {"authenticate": "id", "authorize": {"scopes": {"all_of": ["read", "write"]}}},
    {"authenticate": {"any_of": ["id", "keys"]}, "authorize": {"scopes": "read"}},
    {"authenticate": {"all_of": ["id", "keys"]}, "access": "authenticated"},
    {"authenticate": "keys", "authorize": {"callers": {"keys": "acme"}}},
    {"authenticate": "id", "access": "authenticated", "authorize": {"scopes": "write", **SHADOW}},
    {
        "authenticate": {"any_of": ["id", "keys"]},
        "authorize": {"scopes": "read"},
        "deny": {"local": {"addresses": "127.0.0.0/8", **SHADOW}},
    },
)
ROUTES = st.lists(
    st.tuples(
        st.sampled_from(PATHS), st.sampled_from(ACCESS), st.sampled_from(["GET", "POST"]), st.booleans()
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda route: (route[0], route[2], route[3]),
)
CREDENTIALS = ("none", "read", "both", "expired", "foreign", "junk", "key", "unknown key", "token and key")
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["GET", "POST", "HEAD", "DELETE"]),
        st.sampled_from(TARGETS),
        st.sampled_from(["gateway.test", "GATEWAY.test.", "other.test", "a b"]),
        st.sampled_from(CREDENTIALS),
        st.sampled_from(
            [(), (("X_User", "x"),), (("Connection", "x-a"), ("X-A", "1")), (("X-Forwarded-For", "1.2.3.4"),)]
        ),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture
def world(gateway, origin, issuer, tmp_path):
    """One gateway that every example reloads, and the credentials that requests carry."""
    service, identity, keys = origin(), issuer(), KeyFile(tmp_path)
    key = keys.add("acme", scopes=["read"])
    now = int(time.time())
    credentials = {
        "none": {},
        "read": identity.bearer(scope="read"),
        "both": identity.bearer(scope="read write"),
        "expired": identity.bearer(exp=now - 1000),
        "foreign": identity.bearer(iss="https://other.example"),
        "junk": {"authorization": "Bearer junk"},
        "key": {"x-api-key": key},
        "unknown key": {"x-api-key": KeyFile.assemble("a" * 12, "b" * 43)},
        "token and key": {**identity.bearer(scope="read"), "x-api-key": key},
    }
    base = configs.protected(service, identity, tmp_path)
    base["identity_providers"]["keys"] = {"type": "api_key", "keys": str(keys.path)}
    return gateway(base), service, base, credentials


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(routes=ROUTES, requests=REQUESTS)
def test_a_socket_and_the_engine_never_differ(world, routes, requests):
    gate, service, base, credentials = world
    number = itertools.count()
    chosen = {
        f"r{next(number)}": configs.route(path, method, hosts="gateway.test" if named else "any", **access)
        for path, access, method, named in routes
    }
    config = {**base, "routes": chosen}
    gate.reload(config)
    engine = Engine(*compiled(gate.write(config)))
    for method, target, host, credential, extra in requests:
        service.forget()
        headers = [*credentials[credential].items(), *extra]
        reply = gate.request(method, target, headers, host=host)
        decided = engine.decide(
            Question(method, f"http://{host}{target}", tuple(headers), address="127.0.0.1")
        )
        if decided["outcome"] == "allow":
            assert reply.status == 200, (reply, decided)
            assert service.last.target == decided["forward"]["target"]
            kept = {name.lower() for name, _ in decided["forward"]["headers"]}
            assert service.last.names - {"host", "content-length"} == kept - {"host"}
            if "shadow" in decided:
                line = gate.log_line(request_id=reply["x-request-id"])
                assert line.get("shadow", []) == [one for one in decided["shadow"] if one["reason"]]
        else:
            told = None if method == "HEAD" else decided["refusal"]["reason"]
            assert (reply.status, None if method == "HEAD" else reply.reason) == (decided["status"], told)
            assert service.saw_nothing()


@pytest.mark.parametrize("url", ["foo", "ftp://a/b", "http:///b", "https://", "//a/b", "http:/a"])
def test_what_is_no_url_is_no_question(url):
    with pytest.raises(Unanswerable):
        split(url)


def test_a_target_stays_as_it_was_written():
    assert split("http://h:1/a//b/../%2e?x=/#y") == ("h:1", "/a//b/../%2e?x=/")
    assert split("https://h?x") == ("h", "/?x")


def test_a_value_from_a_file_is_not_on_the_command_line(tmp_path):
    (tmp_path / "key").write_text("secret\n")
    assert header(f"X-Api-Key: @{tmp_path}/key") == ("X-Api-Key", "secret")
    with pytest.raises(Unanswerable):
        header(f"X-Api-Key: @{tmp_path}/nothing")


def test_a_field_cannot_smuggle_another_one(world):
    _, _, base, _ = world
    gate = world[0]
    engine = Engine(*compiled(gate.write(base)))
    question = Question("GET", "http://gateway.test/open/a", (("X-A", "1\r\nX-B: 2\r\n\r\nGET / HTTP/1.1"),))
    decided = engine.decide(question)
    assert (decided["outcome"], decided["refusal"]["reason"]) == ("refuse", "malformed_request")


def test_a_listener_that_is_not_there(world):
    gate, _, base, _ = world
    engine = Engine(*compiled(gate.write(base)))
    with pytest.raises(Unanswerable, match="no listener `publik`"):
        engine.decide(Question("GET", "http://gateway.test/", listener="publik"))


def test_questions_of_the_same_callers_are_each_asked_by_their_own(world):
    """Callers stand once in what is asked, however many questions they ask."""
    gate, _, base, _ = world
    routes = {"a": configs.route("/a", "GET", authenticate="id", authorize={"scopes": "read"})}
    engine = Engine(*compiled(gate.write({**base, "routes": routes})))
    reader, writer = ({"provider": "id", "claims": {"sub": who, "scope": who}} for who in ("read", "write"))
    asked = [
        engine.asked(Question("GET", "http://gateway.test/a", principals=who))
        for who in ((reader,), (writer,), (), (reader,), (reader, writer))
    ]
    asked += asked
    said = [
        (one["outcome"], (one["refusal"] or {}).get("reason"), (one["principal"] or {}).get("subject"))
        for one in engine.decide_many(asked)
    ]
    alone = [
        ("allow", None, "read"),
        ("refuse", "scope_missing", "write"),
        ("refuse", "credential_missing", None),
        ("allow", None, "read"),
        ("refuse", "credential_ambiguous", None),
    ]
    assert said == alone + alone


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"callers": 1}, "there are no callers 1"),
        ({"callers": 0, "principals": [{"provider": "id"}]}, "two ways to say who asks"),
        ({"callers": 0}, "there is no identity provider `other`"),
    ],
)
def test_callers_that_are_not_there_ask_nothing(world, change, why):
    gate, _, base, _ = world
    engine = Engine(*compiled(gate.write(base)))
    asked = engine.asked(Question("GET", "http://gateway.test/open/a"))
    batch = {"callers": [[{"provider": "other"}]], "questions": [asked | change, asked]}
    strange, good = json.loads(engine._core.decide_many(json.dumps(batch).encode()))
    assert why in strange["error"]
    assert good["outcome"] == "allow"


def test_no_credential_is_in_an_answer(world):
    gate, _, base, credentials = world
    engine = Engine(*compiled(gate.write(base)))
    for headers in credentials.values():
        question = Question("GET", "http://gateway.test/a", tuple(headers.items()))
        text = json.dumps(engine.decide(question))
        for value in headers.values():
            assert value.removeprefix("Bearer ") not in text


def test_what_a_client_says_hello_with(gateway, origin, issuer, listener_tls, tmp_path):
    """A question may say it on a listener with TLS; where it does not, nothing is known."""
    told = "t13d1516h2_8daaf6152771_e5627efa2ab1"
    config = configs.protected(
        origin(),
        issuer(),
        tmp_path,
        authorize={"when": f"!has(connection.ja4) || connection.ja4 == '{told}'"},
    )
    config["listeners"] = {
        "plain": {"address": "127.0.0.1:0", "plaintext": "test"},
        "main": {"address": "127.0.0.1:0", "tls": listener_tls},
    }
    for route in config["routes"].values():
        route["listeners"] = {"any_of": ["plain", "main"]}
    engine = Engine(*compiled(gateway(config).write(config)))

    def decided(listener, ja4=None):
        who = ({"provider": "id", "claims": {"sub": "ann"}},)
        scheme = "http" if listener == "plain" else "https"
        question = Question("GET", f"{scheme}://gateway.test/a", listener=listener, principals=who, ja4=ja4)
        decision = engine.decide(question)
        return decision["refusal"]["reason"] if decision["refusal"] else decision["outcome"]

    assert decided("main", told) == "allow"
    assert decided("main", told.replace("t13", "t12")) == "policy_denied"
    assert decided("main") == "policy_error"
    assert decided("plain") == "allow"
    with pytest.raises(Unanswerable, match="no JA4"):
        decided("main", "t13")
    with pytest.raises(Unanswerable, match="has no TLS"):
        decided("plain", told)
