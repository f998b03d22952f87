"""`yett explain`: why a request is let in or refused; what a group and a route come to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from yett.cli.output import FINDINGS, USAGE, Format, fail, print_json, print_lines, refusals
from yett.cli.test import configuration

if TYPE_CHECKING:
    from yett.policy.engine import Engine, Question


def explain(
    file: Path = typer.Argument(..., help="The configuration, or a directory with a gateway.yaml."),
    what: str = typer.Argument(
        None, help="The whole URL, such as https://api.example.com/orders/17; or the name of a route."
    ),
    method: str = typer.Option("GET", "--method", "-X", help="The method."),
    header: list[str] = typer.Option([], "--header", "-H", help="`Name: value`, or `Name: @FILE`."),
    token_file: str | None = typer.Option(
        None, "--token-file", help="A bearer token in a file; `-` is standard input."
    ),
    principal: list[str] = typer.Option(
        [],
        "--principal",
        help="A caller that is taken as verified, as in a file of tests: `{provider: id, subject: ann}`.",
    ),
    listener: str | None = typer.Option(None, "--listener", help="The listener, where there are several."),
    address: str = typer.Option("192.0.2.1", "--address", help="The address that the request comes from."),
    certificate: Path | None = typer.Option(
        None, "--certificate", help="PEM of a client certificate, taken as verified."
    ),
    ja4: str | None = typer.Option(
        None, "--ja4", help="What the client's hello of TLS says of its program, as in the access log."
    ),
    time: str | None = typer.Option(None, "--time", help="As if it were then: 2026-11-28T12:00:00Z."),
    body: Path | None = typer.Option(None, "--body", help="A file with the body; `-` is standard input."),
    request_id: str | None = typer.Option(None, "--request-id", help="A request of the past, from `--log`."),
    log: Path | None = typer.Option(None, "--log", help="The access log that has the request."),
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Explain a decision phase by phase, by the code that decides live requests. Prints no token and no secret.

    With the name of a route: what its group and it come to, and where each part stands.
    """
    from yett.policy import engine

    file = configuration(file)
    if (what is None) == (request_id is None):
        fail("give a URL or the name of a route, or `--request-id` with `--log`", USAGE)
    with refusals():
        if request_id is not None:
            raise typer.Exit(_past(file, request_id, log, format))
        if what is not None and "://" not in what:
            raise typer.Exit(_route(file, what, format))
        headers = engine.headers(header)
        if token_file is not None:
            headers = (*headers, ("Authorization", f"Bearer {engine.secret_text(token_file)}"))
        asked = engine.from_file(file)
        question = engine.Question(
            method, what or "", headers, listener, address, _der(certificate), _milliseconds(time),
            tuple(principal_of(asked, text, "--principal") for text in principal), body=_bytes(body),
            ja4=ja4,
        )  # fmt: skip
        raise typer.Exit(_explain(asked, question, format))


def _show(document: dict[str, Any], lines: Iterable[str], format: Format) -> None:
    if format is Format.JSON:
        print_json(document)
    else:
        print_lines(lines)


def _explain(engine: Engine, question: Question, format: Format) -> int:
    from yett.policy import explain as policy

    decision = policy.explain(engine, question)
    _show(decision, policy.lines(decision), format)
    return FINDINGS if decision["outcome"] == "refuse" else 0


def _route(file: Path, name: str, format: Format) -> int:
    from yett.policy import merged

    found = merged.read(file, name)
    _show(found, merged.lines(found), format)
    return 0


def _past(file: Path, request_id: str, log: Path | None, format: Format) -> int:
    from yett.policy import engine, past
    from yett.policy import explain as policy

    if log is None:
        fail("say in which access log: `--log access.jsonl`", USAGE)
    asked = engine.from_file(file, offline=True)
    found = past.rebuild(asked.document, past.find(log, request_id))
    decision = policy.explain(asked, found.question, found.unknown)
    if past.is_open(found, asked.document, decision):
        decision["outcome"], decision["undecided"] = "unknown", list(found.lacks)
    decision["past"] = {"request_id": request_id, "said": found.said(), "lacks": list(found.lacks)}
    before = (
        f"the log says: {found.said()}",
        f"it does not have: {', '.join(found.lacks)}; what follows is without them",
        "",
    )
    _show(decision, (*before, *policy.lines(decision)), format)
    return FINDINGS if "reason" in found.line else 0


def principal_of(engine: Engine, text: str, option: str) -> dict[str, Any]:
    """A caller as in a file of tests, or `@FILE`; whatever is wrong with it ends the command."""
    from yett.config.reading import Unreadable, parse
    from yett.errors import ConfigurationError
    from yett.policy.testing.principals import Principals, Unknown, read

    data = Path(text[1:]) if text.startswith("@") else None
    try:
        raw = data.read_bytes() if data else text.encode()
        value = parse(raw, Path(), option).value
        assumed = Principals(engine.document, {}).assumed(read(value, option))
    except OSError as error:
        fail(f"`{data}` cannot be read: {(error.strerror or 'error').lower()}", USAGE)
    except Unreadable as error:
        fail(f"{error.error}; write for example `{{provider: id, subject: ann}}`", USAGE)
    except ConfigurationError as error:
        fail(str(error), USAGE)
    except Unknown as error:
        fail(f"{option}: {error}", USAGE)
    return assumed or fail(f"leave `{option}` out for a caller without a credential", USAGE)


def _der(certificate: Path | None) -> bytes | None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    if certificate is None:
        return None
    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    except (OSError, ValueError):
        fail(f"`{certificate}` holds no certificate; give its PEM", USAGE)


def _bytes(body: Path | None) -> bytes | None:
    import sys

    try:
        return None if body is None else sys.stdin.buffer.read() if str(body) == "-" else body.read_bytes()
    except OSError as error:
        fail(f"`{body}` cannot be read: {error.strerror}", USAGE)


def _milliseconds(time: str | None) -> int | None:
    if time is None:
        return None
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        fail(f"`{time}` is no moment; write one such as 2026-11-28T12:00:00Z", USAGE)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
