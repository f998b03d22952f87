"""What commands share that ask a running gateway over its control socket."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from yett.cli.output import fail

FILE = typer.Argument(Path("gateway.yaml"), help="The configuration that the gateway was started with.")
SOCKET = typer.Option(None, "--socket", help="The control socket that the gateway was started with.")


def ask(
    file: Path, socket: Path | None, request: dict[str, Any], timeout_s: float = 30.0, *, otherwise: str = ""
) -> dict[str, Any]:
    """The answer of the gateway; ends the command where none comes, with `otherwise` before the reason."""
    from yett.control import channel

    try:
        path = socket or channel.socket_path(file)
        return channel.ask(path, request, timeout_s, derived=socket is None)
    except channel.Unreachable as error:
        fail(f"{otherwise}{error}")


def rows(file: Path, socket: Path | None, command: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """The answer to `show` of a command; ends with the gateway's problem where it has no rows."""
    answer = ask(file, socket, {"command": command, "request": {"show": wanted}})
    if "rows" not in answer:
        fail(answer.get("problem", "the gateway gave no answer"))
    return answer


def reload(file: Path, socket: Path | None, *, otherwise: str = "") -> dict[str, Any]:
    """Has the gateway read its files again."""
    return ask(file, socket, {"command": "reload"}, 120.0, otherwise=otherwise)


def moment(unix_s: float) -> str:
    """A time as RFC 3339 has it, in whole seconds."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
