"""`yett revoke`: tell a running gateway to forget a token, a caller, a session, a key or an issuer; list and undo that."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from yett.cli.output import USAGE, Format, fail, print_json
from yett.cli.running import FILE, SOCKET, ask, moment

_FOREVER_MS = 253_402_300_799_000


def revoke(
    file: Path = FILE,
    token: str | None = typer.Option(
        None, "--token", help="The token itself; `-` reads it from stdin, where nobody sees it."
    ),
    token_id: str | None = typer.Option(None, "--token-id", help="`jti` of a token."),
    subject: str | None = typer.Option(
        None, "--subject", help="Everything of this `sub` that was issued until now."
    ),
    session: str | None = typer.Option(None, "--session", help="Everything of this session (`sid`)."),
    client: str | None = typer.Option(
        None, "--client", help="Everything of this OAuth client that was issued until now."
    ),
    key: str | None = typer.Option(None, "--key", help="The API key of this id, for good."),
    issuer: str | None = typer.Option(None, "--issuer", help="Only what this issuer issued."),
    issuer_before: str | None = typer.Option(
        None,
        "--issuer-before",
        help="Everything of this issuer that was issued until now, or until --before.",
    ),
    provider_before: str | None = typer.Option(
        None,
        "--provider-before",
        help="Everything that this provider of the configuration vouches for, likewise.",
    ),
    provider: str | None = typer.Option(None, "--provider", help="With --key: the provider whose key it is."),
    before: str | None = typer.Option(
        None, "--before", help="What was issued before, such as 2026-11-28T12:00:00Z; otherwise now."
    ),
    all_: bool = typer.Option(
        False, "--all", help="What is issued from now on as well, until the revocation ends."
    ),
    for_: str | None = typer.Option(
        None, "--for", help="How long it counts, such as `12h`; 30 days otherwise, `never` ends never."
    ),
    list_: bool = typer.Option(False, "--list", help="List what is revoked."),
    undo: str | None = typer.Option(None, "--undo", help="End the revocation of this id."),
    socket: Path | None = SOCKET,
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Revoke at once what was verified: it is refused from the next request on, and open streams end."""
    whole_issuer = {"issuer": issuer_before} if issuer_before is not None else {"issuer": issuer}
    wanted: dict[str, Any] = {
        "token": token, "token_id": token_id, "subject": subject, "session": session, "client": client, "key": key,
        "provider": provider if provider_before is None else provider_before, **whole_issuer,
    }  # fmt: skip
    named = [token, token_id, subject, session, client, key, issuer_before, provider_before]
    chosen = sum(one is not None for one in named) + list_ + (undo is not None)
    if chosen != 1 or (issuer is not None and issuer_before is not None):
        fail("name one thing to revoke, such as --subject ann, or --list, or --undo ID", USAGE)
    if list_:
        show(ask(file, socket, {"command": "revocations", "request": {"list": {}}}), format)
        return
    if undo is not None:
        answer = ask(file, socket, {"command": "revocations", "request": {"undo": undo}})
        done(answer, "ended", format)
        return
    if token == "-":  # noqa: S105
        wanted["token"] = sys.stdin.readline().strip()
    request = {name: value for name, value in wanted.items() if value is not None}
    if before is not None:
        request["before_ms"] = _moment(before)
    if for_ is not None:
        request["for_ms"] = _lasting(for_)
    if all_:
        request["all"] = True
    done(ask(file, socket, {"command": "revocations", "request": {"revoke": request}}), "revoked", format)


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"`{text}` is no time; write one such as 2026-11-28T12:00:00Z", USAGE)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _lasting(text: str) -> int:
    from yett.config.units import duration_ms

    if text == "never":
        return _FOREVER_MS
    lasting = duration_ms(text)
    if not lasting:
        fail(f"`{text}` is no duration; write one such as `12h` or `30d`, or `never`", USAGE)
    return lasting


def _iso(moment_ms: int) -> str:
    if moment_ms >= _FOREVER_MS:
        return "never"
    return moment(moment_ms / 1000)


def done(answer: dict[str, Any], word: str, format: Format) -> None:
    """Prints what became of one revocation; exits with 1 where it is not acknowledged."""
    if format is Format.JSON:
        print_json(answer)
    elif answer.get("acknowledged"):
        one = answer.get("revocation") or {}
        ends = f", until {_iso(one['until_ms'])}" if one else ""
        kept = {"disk": "on disk", "shared": "in Redis", "both": "on disk and in Redis"}
        typer.echo(
            f"{word} {answer['id']}{ends}; {kept.get(answer['kept'], 'in memory: it goes with the process')}"
        )
    if not answer.get("acknowledged"):
        fail(answer.get("problem", "it was not acknowledged"))


def show(answer: dict[str, Any], format: Format) -> None:
    """Prints a list of revocations."""
    if format is Format.JSON:
        print_json(answer)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "what", "of", "issued before", "until", "made", "by")
    for one in answer["revocations"]:
        what = one["what"]
        name = what.get("id") or what.get("sha256")
        limit = what.get("issuer") or what.get("provider")
        table.add_row(
            one["id"], what["kind"], f"{name} at {limit}" if limit else name,
            _iso(one["before_ms"]) if one.get("before_ms") is not None else "", _iso(one["until_ms"]), _iso(one["made_ms"]), one["by"],
        )  # fmt: skip
    Console().print(table)
    typer.echo(f"{answer['held']} of {answer['room']}")
