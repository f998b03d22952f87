"""`response_validation` in `yett diff`, field by field; and pairs of them, held against what a gateway lets out."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.support import configs
from tests.support.gateway import compiled
from tests.support.origin import reply
from yett.policy.diff.answers import compare
from yett.policy.diff.change import Kind

Document = dict[str, Any]
SCHEMA: Document = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
BOUNDS: Document = {"depth": 32, "keys": 1000, "items": 1000, "string": 1000, "number": 64}
JSON: Document = {"content_type": "application/json"}
HELD: Document = {**JSON, "schema": SCHEMA}
PLAIN: Document = {"content_type": "text/plain"}
BASE: Document = {
    "mode": "enforce",
    "answers": [{"status": "200", "bodies": [HELD, PLAIN]}, {"status": "4xx"}],
    "size": 1000,
    "json": BOUNDS,
    "leaks": ["cards", "tokens"],
}
W, N, M = Kind.WIDENS, Kind.NARROWS, Kind.MOVES


def kinds(old: Document | None, new: Document | None) -> set[Kind]:
    return {change.kind for change in compare(old, new)}


def of(*answers: Document) -> Document:
    return {"answers": list(answers)}


def ok(*bodies: Document) -> Document:
    return {"status": "200", "bodies": list(bodies)}


ERRORS: Document = {"status": "4xx"}


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ({}, {"mode": "strip"}, W),
        ({}, {"mode": "report"}, W),
        ({"mode": "strip"}, {"mode": "report"}, W),
        ({"mode": "strip"}, {}, N),
        ({"mode": "report"}, {"mode": "strip"}, N),
        ({"mode": "report"}, {"mode": "off"}, W),
        ({}, {"size": 1001}, W),
        ({}, {"size": 999}, N),
        ({}, {"leaks": ["cards"]}, W),
        ({}, {"leaks": ["addresses", "cards", "tokens"]}, N),
        ({}, {"leaks": []}, W),
        ({}, {"streams": True}, W),
        ({"streams": True}, {}, N),
        ({}, {"internals": False}, W),
        ({"internals": False}, {}, N),
        ({}, {"formats": False}, W),
        ({"formats": False}, {}, N),
        ({}, {"json": {**BOUNDS, "depth": 33}}, W),
        ({}, {"json": {**BOUNDS, "depth": 31}}, N),
        ({}, {"json": {**BOUNDS, "else": 1}}, W),
        ({}, {"else": 1}, W),
        ({}, of(ok(HELD, PLAIN)), N),
        (of(ok(HELD, PLAIN)), {}, W),
        ({}, of(ok(HELD, PLAIN), ERRORS, {"status": "default"}), W),
        ({}, of(ok(HELD, PLAIN), ERRORS, {"status": "404", "bodies": [PLAIN]}), N),
        ({}, of(ok(HELD, PLAIN), {"status": "404"}), N),
        ({}, of(ERRORS, ok(HELD, PLAIN)), M),
        ({}, of(ok(PLAIN, HELD), ERRORS), M),
        ({}, of(ok(HELD, PLAIN), ERRORS, {"status": "404"}), M),
        ({}, of(ok(HELD), ERRORS), N),
        ({}, of(ok(HELD, PLAIN, {"content_type": "text/*"}), ERRORS), W),
        ({}, of(ok(JSON, PLAIN), ERRORS), W),
        (of(ok(JSON, PLAIN), ERRORS), {}, N),
        (of(ok(JSON, PLAIN), ERRORS), {"mode": "strip"}, W),
        (of({"status": "200"}, ERRORS), {}, N),
        ({}, of({"status": "200"}, ERRORS), W),
        ({}, of(ok({**JSON, "schema": {"type": "object"}}, PLAIN), ERRORS), W),
        (of(ok(HELD)), of(ok()), W),
        (of(ok(PLAIN)), of(ok()), N),
        (of(ok(PLAIN, {"content_type": "text/*"})), of(ok({"content_type": "text/*"})), W),
        (of(ok(PLAIN, {"content_type": "text/*"})), of(ok(PLAIN)), N),
        (of(ok({"content_type": "*/*"})), of(ok(PLAIN)), W),
        ({}, of(ok(HELD, PLAIN), {"status": "4xxx"}), W),
        ({}, of(ok(HELD, {**PLAIN, "else": 1}), ERRORS), W),
    ],
)
def test_fields(old: Document, new: Document, kind: Kind) -> None:
    found = kinds({**BASE, **old}, {**BASE, **new})
    assert kind in found
    assert (W in found) == (kind is W)


def test_all_of_it() -> None:
    assert kinds(None, BASE) == {N}
    assert kinds(BASE, None) == {W}
    assert kinds(None, {**BASE, "mode": "report"}) == {M}
    assert kinds(BASE, BASE) == kinds(None, None) == set()


def test_statuses_are_named_in_words() -> None:
    new = {**BASE, "answers": [*BASE["answers"], {"status": "2xx"}, {"status": "404", "bodies": []}]}
    assert sorted(change.text for change in compare(BASE, new)) == [
        "answers with status 201-299 pass",
        "answers with status 404: no body passes",
    ]


# held against a gateway

TYPES = ("application/json", "text/plain", "text/*", "image/png", "text/event-stream")
SCHEMAS = (SCHEMA, {"type": "object"}, {"type": "object", "properties": {"a": {"maximum": 5}}})
CARD, KEY = (
    b"pay with 4111 1111 1111 1111 now",
    b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----",
)
ANSWERS = tuple(
    (status, body, fields)
    for status in (200, 201, 404, 500)
    for body, fields in (
        (b"", [("Content-Type", "application/json")]),
        (b"", []),
        (b'{"a": 1}', [("Content-Type", "application/json")]),
        (b'{"a": 1, "b": 2}', [("Content-Type", "application/json")]),
        (b'{"a": 9}', [("Content-Type", "application/json"), ("X-Runtime", "0.1")]),
        (b'{"a": [[[[1]]]]}', [("Content-Type", "application/json")]),
        (b'{"b": "%s"}' % CARD, [("Content-Type", "application/json")]),
        (CARD, [("Content-Type", "text/plain")]),
        (KEY, [("Content-Type", "text/html")]),
        (b"x" * 100, [("Content-Type", "text/plain")]),
        (b"x" * 100, []),
        (b"x", [("Content-Type", "image/png")]),
        (b"data: 1\n\n", [("Content-Type", "text/event-stream")]),
    )
)


def validation(rng: random.Random) -> Document:
    """Any that loads."""
    answers = []
    for status in rng.sample(("200", "201", "2xx", "404", "4xx", "500", "default"), rng.choice((1, 2, 3))):
        bodies = [
            {"content_type": name, **({"schema": rng.choice(SCHEMAS)} if name == TYPES[0] and rng.random() < 0.6 else {})}
            for name in rng.sample(TYPES, rng.choice((0, 1, 1, 2, 3)))
        ]  # fmt: skip
        answers.append({"status": status, **({} if rng.random() < 0.3 else {"bodies": bodies})})
    return {
        "mode": rng.choice(("enforce", "enforce", "strip", "report")),
        "answers": answers,
        "size": rng.choice((50, 1000)),
        "json": {**BOUNDS, "depth": rng.choice((3, 32))},
        "leaks": sorted(rng.sample(("cards", "private_keys", "tokens"), rng.choice((0, 1, 2, 3)))),
        **({"streams": True} if rng.random() < 0.4 else {}),
        **({"internals": False} if rng.random() < 0.3 else {}),
        **({"formats": False} if rng.random() < 0.2 else {}),
    }


def near(rng: random.Random, one: Document) -> Document:
    """One to two parts are another one's."""
    other = validation(rng)
    made = dict(one)
    for key in rng.sample(
        ("mode", "answers", "size", "json", "leaks", "streams", "internals"), rng.choice((1, 2))
    ):
        made.pop(key, None)
        made |= {key: other[key]} if key in other else {}
    if rng.random() < 0.5:
        # an entry less, or the bodies of one are those of another
        answers = [dict(answer) for answer in one["answers"]]
        if len(answers) > 1 and rng.random() < 0.5:
            answers.pop(rng.randrange(len(answers)))
        else:
            answers[0].pop("bodies", None)
            answers[0] |= {key: value for key, value in other["answers"][0].items() if key == "bodies"}
        made["answers"] = answers
    return made


@pytest.mark.parametrize("seed", range(3))
def test_what_lets_out_more_is_called_a_widening(gateway, origin, tmp_path, seed) -> None:
    rng = random.Random(seed)
    made: list[Document] = []
    while len(made) < 36:
        made.append(near(rng, rng.choice(made)) if made and rng.random() < 0.7 else validation(rng))
    service = origin()

    def behave(stage: Any) -> None:
        status, body, fields = ANSWERS[int(stage.request.target.rpartition("/")[2])]
        reply(status, body, fields)(stage)

    service.behaviour = behave
    config = configs.public(service)
    config["routes"] = {f"c{index}": configs.route(f"/{index}/{{n}}", "GET") for index in range(len(made))}
    gate = gateway(config)
    ir, secrets = compiled(gate.write(config))
    document = json.loads(ir)
    for route in document["routes"]:
        route["response_validation"] = made[int(route["name"][1:])]
    gate.core.apply(json.dumps(document).encode(), secrets)
    leaves: list[list[Any]] = []
    for index in range(len(made)):
        with gate.connect() as wire:
            leaves.append(
                [seen(wire.ask("GET", f"/{index}/{n}", (), b"", "gateway.test")) for n in range(len(ANSWERS))]
            )
    widening = narrower = 0
    for one, before in zip(made, leaves, strict=True):
        for other, after in zip(made, leaves, strict=True):
            found = kinds(one, other)
            assert bool(found) == (one != other)
            widening += W in found
            narrower += bool(found) and W not in found
            # what left already has to be the same, or less
            more = [
                ANSWERS[n] for n, (was, now) in enumerate(zip(before, after, strict=True))
                if now is not None and now != was and not less(was, now)
            ]  # fmt: skip
            assert W in found or not more, (one, other, more[0])
    assert widening > 100
    assert narrower > 10


def seen(answer: Any) -> tuple[Any, ...] | None:
    """What leaves of an answer of the service; nothing where a refusal stands in its place."""
    if answer.status == 502:
        return None
    return answer.status, answer.body, "x-runtime" in answer


def less(was: tuple[Any, ...] | None, now: tuple[Any, ...]) -> bool:
    """Whether less leaves than before: without a field, or what was taken out."""
    if was is None or was[0] != now[0] or (now[2] and not was[2]):
        return False
    return bool(was[1] == now[1]) or len(now[1]) < len(was[1])
