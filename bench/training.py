"""The load that a wheel learns from: `python -m bench.training COMMAND` puts it on a build that counts what runs.

What a compiler is told to be rare becomes slower, so everything that a route can ask for has a share, and the proxy itself most.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import reloading, tokens, tools, transport
from bench.__main__ import raise_open_files
from bench.columns import COLUMNS, PATH, Broken, Column, origin_config, start_yett, started
from bench.load import wrk
from bench.policy import CASES, ROUTES, written
from bench.processes import Server, free_port, serving
from bench.tools import Missing, say

NEEDED = ("nginx", "wrk", "h2load")
SECONDS = 3
TIMES = 400
EVERYTHING = Column("yett-training", "Yett", "", start_yett, "yett-training.yaml", tokens=True)
SCHEMA_FILE = "training.schema.json"
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["item", "count"],
    "properties": {
        "item": {"type": "string", "maxLength": 80},
        "count": {"type": "integer", "minimum": 1, "maximum": 100},
        "notes": {"type": "array", "maxItems": 8, "items": {"type": "string", "maxLength": 200}},
        "address": {"type": "object", "properties": {"city": {"type": "string"}, "zip": {"type": "string"}}},
    },
}
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

Request = tuple[str, str, dict[str, str], bytes, int]
"""Method, path, fields, body and the status that has to come."""


def order(number: int, notes: list[str]) -> bytes:
    """A body that the schema allows."""
    address = {"city": "Stirling", "zip": "FK8 1EJ"}
    return json.dumps({"item": f"kettle {number}", "count": 3, "notes": notes, "address": address}).encode()


def requests(made: tokens.Tokens, number: int) -> Iterator[Request]:
    """One of each kind."""
    caller = {"Authorization": f"Bearer {made.good[number % len(made.good)]}"}
    page = {"Origin": "https://shop.example.com"}
    fine = ["please ring twice", "a select few of them; or else the blue one"]
    yield "GET", f"/edited/{number}/a/b?x=1&y=%20", {"X-Debug": "1", **page}, b"", 200
    yield "OPTIONS", "/edited/1/a", {**page, "Access-Control-Request-Method": "PUT"}, b"", 204
    yield "GET", f"/ruled/{number}", caller, b"", 200
    yield "GET", f"/ruled/{number}", {"Authorization": f"Bearer {made.expired}"}, b"", 401
    yield "GET", f"/ruled/{number}", {"Authorization": f"Bearer {made.without_scope}"}, b"", 403
    yield "POST", "/upload/orders", {**caller, **JSON}, order(number, fine), 200
    yield "POST", "/upload/orders", {**caller, **JSON}, b'{"item": 7}', 422
    yield "POST", "/upload/orders", {**caller, **JSON}, order(number, ["1' OR '1'='1' --"]), 403
    yield "GET", "/seen/shelf?q=kettles+and+pots&page=2", BROWSER, b"", 200
    yield "GET", "/seen/shelf?q=%3Cscript%3Ealert(1)%3C/script%3E", BROWSER, b"", 403
    yield "POST", "/login", FORM, f"name=user{number}&password=secret{number}".encode(), 200
    yield "GET", "/nowhere", {}, b"", 404


def breadth(server: Server, made: tokens.Tokens, times: int) -> None:
    """Everything that a route can have, so many times."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    for number in range(times):
        for method, path, fields, body, wanted in requests(made, number):
            connection.request(method, path, body or None, {"Host": "localhost", **fields})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != wanted:
                raise Broken(f"{method} {path} answers {answer.status}, not {wanted}: {text[:500]!r}")
    connection.close()


def policies(directory: Path) -> None:
    """The tools of policy."""
    old, _, cases = written(directory, ROUTES // 5, CASES // 5)
    tools.run([str(tools.yett()), "diff", str(old), str(old)])
    tools.run([str(tools.yett()), "test", str(old), str(cases)])


def train(directory: Path) -> None:
    """All of the load."""
    made = tokens.make(directory)
    bench = transport.prepare(directory, made)
    (directory / SCHEMA_FILE).write_text(json.dumps(SCHEMA))
    origin = free_port()
    command = [tools.tool("nginx"), "-e", "stderr", "-c", str(origin_config(directory, origin))]
    with serving("origin", origin, command, directory):
        for column in [column for column in COLUMNS if column.command is start_yett]:
            say(f"training: {column.title}")
            with started(column, directory, origin) as server:
                file = directory / "tokens.txt" if column.tokens else None
                wrk(server.port, PATH, SECONDS, file)
        for column in [
            one for group in transport.PEERS.values() for one in group if one.command is start_yett
        ]:
            with started(column, directory, origin) as server:
                for workload in transport.WORKLOADS:
                    if column in transport.PEERS[workload.peers] and column.key not in workload.without:
                        say(f"training: {workload.title}")
                        workload.load(server, SECONDS, bench)
        say("training: filters")
        with started(EVERYTHING, directory, origin) as server:
            breadth(server, made, TIMES)
        say("training: reload, tools")
        reloading.reloads(directory / "many.yaml", origin)
        policies(directory)


def main(arguments: list[str]) -> int:
    """Exit status: 0, 1 where an answer is wrong, 2 when something is missing."""
    if len(arguments) != 1:
        say("usage: python -m bench.training COMMAND, or --needs, which only looks whether all is there")
        return 2
    raise_open_files()
    os.umask(0o022)
    try:
        tools.debian(*NEEDED)
        if arguments == ["--needs"]:
            return 0
        os.environ["BENCH_YETT"] = str(Path(arguments[0]).absolute())
        tools.WORK.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tools.WORK, prefix="train-") as name:
            train(Path(name))
    except Missing as problem:
        say(str(problem))
        return 2
    except Broken as problem:
        say(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
