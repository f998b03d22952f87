"""`yett explain`: why a request is let in or refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer

from yett.cli.output import FINDINGS, USAGE, Format, fail, print_json, print_problems


def explain(
    file: Path = typer.Argument(..., help="The configuration."),
    url: str = typer.Argument(..., help="The whole URL, such as https://api.example.com/orders/17"),
    method: str = typer.Option("GET", "--method", "-X", help="The method."),
    header: list[str] = typer.Option([], "--header", "-H", help="`Name: value`, or `Name: @FILE`."),
    token_file: str | None = typer.Option(
        None, "--token-file", help="A bearer token in a file; `-` is standard input."
    ),
    listener: str | None = typer.Option(None, "--listener", help="The listener, where there are several."),
    address: str = typer.Option("192.0.2.1", "--address", help="The address that the request comes from."),
    certificate: Path | None = typer.Option(
        None, "--certificate", help="PEM of a client certificate, taken as verified."
    ),
    time: str | None = typer.Option(None, "--time", help="As if it were then: 2026-11-28T12:00:00Z."),
    body: Path | None = typer.Option(None, "--body", help="A file with the body; `-` is standard input."),
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Explain a decision phase by phase, by the code that decides live requests. Prints no token and no secret."""
    from yett.control import source
    from yett.policy import engine
    from yett.policy import explain as policy

    try:
        headers = engine.headers(header)
        if token_file is not None:
            headers = (*headers, ("Authorization", f"Bearer {engine.secret_text(token_file)}"))
        question = engine.Question(
            method, url, headers, listener, address, _der(certificate), _milliseconds(time), _bytes(body)
        )
        decision = policy.explain(engine.from_file(file), question)
    except source.Refused as refused:
        print_problems(refused.problems)
        raise typer.Exit(FINDINGS) from None
    except engine.Unanswerable as error:
        fail(str(error), USAGE)
    if format is Format.JSON:
        print_json(decision)
    else:
        for line in policy.lines(decision):
            typer.echo(line)
    raise typer.Exit(FINDINGS if decision["outcome"] == "refuse" else 0)


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
