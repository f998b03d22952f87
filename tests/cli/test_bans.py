"""`yett bans`, asked of a running gateway: who is banned, and an end of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Running, Yett, config
from tests.support.origin import Origin
from tests.support.wire import Wire

Run = Callable[..., Running]


def test_show_and_lift(yett: Yett, run: Run, file: Path) -> None:
    asked = Origin()
    try:
        asked.answers(401, b"")
        guard = "    service: accounts\n    login_guard: {account: {header: x-account}, slow: 0s, thresholds: {accounts: 2}}\n"
        text = config(extra=f"services: {{accounts: {{endpoints: '{asked.url}', plaintext: test}}}}\n")
        head, _, rest = text.partition("    respond:")
        file.write_text(head + guard + rest.partition("\n")[2])
        gateway = run(file)
        empty = yett("bans", "show", file)
        assert (empty.returncode, "0 banned; room for 10000" in empty.stdout) == (0, True), empty.stderr
        for number in range(6):
            with Wire(("127.0.0.1", gateway.port)) as wire:
                wire.ask("GET", "/hello", {"X-Account": f"leaked-{number}"})
        (row,) = json.loads(yett("bans", "show", file, "--format", "json").stdout)["rows"]
        assert (row["address"], row["route"]) == ("127.0.0.1", "hello")
        assert "127.0.0.1" in yett("bans", "show", file).stdout
        done = yett("bans", "lift", "127.0.0.1", file)
        assert done.returncode == 0 and done.stdout.startswith("`127.0.0.1` may log in again; "), done.stderr
        again = yett("bans", "lift", "127.0.0.1", file)
        assert again.returncode == 1 and "is not banned" in again.stderr
        assert yett("bans", "lift", "everybody", file).returncode == 2
        assert gateway.wait_for("login_ban_lifted")["by"] == "cli"
    finally:
        asked.close()
