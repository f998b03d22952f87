"""`yett import openapi`: reads a description, writes a configuration, and proves it before a file is written."""

from __future__ import annotations

import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yett.config.validation.document import Document, read
from yett.config.validation.openapi import Description
from yett.control import source
from yett.control.keys_file import HEAD
from yett.errors import ConfigError, ConfigurationError
from yett.policy import engine as engines
from yett.policy.emit import plain
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Severity
from yett.policy.linter.run import run as lint
from yett.policy.openapi_import.config import Built
from yett.policy.openapi_import.plan import CODE, Plan, Planner
from yett.policy.openapi_import.servers import Servers
from yett.policy.openapi_import.tests import PolicyTests, Writer
from yett.policy.testing import run as testing

GATEWAY = "gateway.yaml"
TESTS = "gateway.tests.yaml"
MAX_BYTES = 16 << 20


class Unproved(Exception):
    """What would be written does not load, or does not do what its tests say. Nothing is written then."""


class Incomplete(ConfigurationError):
    """Some of a description cannot be imported; the rest could."""


@dataclass
class Imported:
    """The files to write, by name; and what a person should know."""

    files: dict[str, str]
    plan: Plan
    notes: list[ConfigError] = field(default_factory=list)
    placeholders: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def describe(file: Path) -> Document:
    """The description.

    Raises:
        ConfigurationError: it is none.
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        text = f"the file is larger than {MAX_BYTES >> 20} MiB; split it"
        raise ConfigurationError([ConfigError(str(file), 1, 1, "", text, CODE)])
    try:
        document = read(data.decode(), file, "openapi_invalid")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        text = "this is no text in UTF-8"
        raise ConfigurationError([ConfigError(str(file), line, column, "", text, CODE)]) from None
    fault = document if isinstance(document, ConfigError) else Description(document).fault()
    if isinstance(fault, ConfigError) or isinstance(document, ConfigError):
        raise ConfigurationError([one for one in (fault,) if isinstance(one, ConfigError)])
    return document


def convert(
    file: Path,
    directory: Path,
    *,
    partial: bool = False,
    server: str | None = None,
    service: str | None = None,
    host: str | None = None,
) -> Imported:
    """What to write into `directory` for a description. Nothing is written here.

    Raises:
        ConfigurationError: with everything that cannot be imported; `Incomplete` where the rest could.
        Unproved: what would be written is not right.
        LookupError: no list of servers has the one that is wanted.
        OSError: the file cannot be read.
    """
    document = describe(file)
    servers = Servers(server, host, service)
    plan = Planner(document, servers, partial).read()
    if server is not None and server not in servers.known:
        raise LookupError(server)
    if plan.faults:
        raise Incomplete(plan.faults)
    if not plan.routes:
        nobody = document.error(
            ("paths",), CODE, "nobody may reach any operation, so there is nothing to write"
        )
        raise ConfigurationError([*plan.denied, nobody])
    info = document.value.get("info")
    title = plain(info.get("title", "")) if isinstance(info, dict) else ""
    shown = os.path.relpath(file.resolve(), directory.resolve())
    head = [
        f"From {shown} ({title}), by `yett import openapi`. It lets in what is described there, and nothing else.",
        "`yett check`, `yett lint` and `yett test` pass as it is; what says TODO is for a person to write.",
    ]
    built = Built(plan, title, shown, TESTS)
    tests = Writer(document, plan, built).write()
    found = Imported({}, plan, [*plan.notes, *tests.notes], built.placeholders)
    for scheme in built.schemes.values():
        if scheme.is_key:
            name = scheme.provider["keys"]
            found.files[name] = HEAD.format(salt=secrets.token_hex(32)).rstrip("\n") + " {}\n"
    _prove(document, file, built, tests, found)
    found.files[GATEWAY] = built.text(head)
    found.files[TESTS] = tests.text(
        [f"What {GATEWAY} lets in and refuses; a start and a reload run it first."]
    )
    return found


def _prove(document: Document, file: Path, built: Built, tests: PolicyTests, found: Imported) -> None:
    """Loads it, lints it and runs its tests; examples that their own schema refuses are left out and told."""
    with tempfile.TemporaryDirectory(prefix="yett-import-") as scratch:
        place = Path(scratch)
        for name, text in found.files.items():
            (place / name).write_text(text, encoding="utf-8")
        absolute = Built(found.plan, built.title, str(file.resolve()), TESTS)
        gateway = place / GATEWAY
        gateway.write_text(absolute.text([]), encoding="utf-8")
        (place / TESTS).write_text(tests.text([]), encoding="utf-8")
        try:
            loaded = source.read(gateway)
        except source.Refused as refused:
            raise Unproved("\n".join(str(one["text"]) for one in refused.problems)) from None
        errors = lint(Context(source.compiled_file(gateway))).of(Severity.ERROR)
        if errors:
            raise Unproved("\n".join(map(str, errors)))
        engine = engines.of_loaded(loaded, gateway)
        failed = testing.run(engine, testing.read(engine, [place / TESTS])).failed
    wrong = []
    for result in failed:
        name = result.case.name
        route = tests.shown.get(name)
        if route is None:
            wrong.append(f"{name}: {'; '.join(result.problems)}")
            continue
        del tests.tests[name]
        _, method, path, _, _ = route.found
        reasons = "; ".join([*result.problems, *_where(result.decision)])
        message = f"{method.upper()} {path}: its example is left out of the tests, since it is not what is described: {reasons}"
        found.notes.append(document.error(("paths", path, method), CODE, message))
    if wrong:
        raise Unproved("\n".join(wrong))


def _where(decision: dict[str, Any]) -> list[str]:
    errors = (decision.get("refusal") or {}).get("errors") or []
    return [
        f"{one.get('pointer') or one.get('parameter') or 'the body'} {one.get('detail', '')}".strip()
        for one in errors[:3]
    ]
