"""`yett demo`: everything in the foreground, with curl lines to try."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

from yett.demo.processes import Running, program, require_alone
from yett.demo.shop import PORTS, Shop, find_directory, free_ports, is_free
from yett.demo.story import STEPS, curl

WATCH_S = 0.5


def run_demo(directory: Path | None, port: int) -> int:
    """Runs until Ctrl-C or SIGTERM."""
    found = find_directory(directory)
    console = Console(soft_wrap=True, highlight=False)
    require_alone(found / ".state")
    shop = Shop(found, found / ".state", choose_ports(port, console))
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        console.print("starting the shop, its token endpoint and the gateway …")
        with Running(shop, watch=True, quiet=False) as running:
            for line in lines(shop):
                console.print(line)
            while True:
                running.check_alive()
                time.sleep(WATCH_S)
    except KeyboardInterrupt:
        console.print("stopped")
        return 0


def choose_ports(port: int, console: Console) -> dict[str, int]:
    """The ports of gateway.yaml, or free ones in place of those that are taken."""
    spare = free_ports()
    ports = {**PORTS, "gateway": port or spare["gateway"]}
    for name, wanted in ports.items():
        if not is_free(wanted):
            ports[name] = spare[name]
            console.print(f"port {wanted} is taken, so `{name}` is on {ports[name]}")
    return ports


def lines(shop: Shop) -> list[Text | str]:
    """What is printed once everything runs."""
    state, yett = short(shop.state), short_program()
    authority = f"{state}/ca.pem"
    out: list[Text | str] = [
        "",
        f"The gateway is on {shop.url}. In another terminal, in this directory:",
        "",
    ]
    for step in STEPS:
        out += [
            Text(f"# {step.expect}: {step.shows}", style="dim"),
            Text(curl(step, shop.url, authority, state, yett)),
        ]
    out += [
        "",
        Text("# no answer: services talk to nobody but the gateway, which shows its certificate"),
        Text(f"curl -sS -i --cacert {state}/internal-ca.pem https://127.0.0.1:{shop.ports['orders']}/debug"),
        "",
        Text("# what the gateway says of itself"),
        Text(f"curl -sS http://127.0.0.1:{shop.ports['admin']}/metrics"),
        Text(f"{yett} status --socket {state}/control.sock"),
        Text(f"tail -f {state}/access.jsonl"),
        "",
        f"Its configuration is {short(shop.configuration())}: change it and watch it take effect. Ctrl-C stops everything.",
        "",
    ]
    return out


def short(path: Path) -> str:
    """Relative to where the person is, when it is below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def short_program() -> str:
    """How this program is called from where the person is."""
    ours = program()
    on_path = shutil.which("yett")
    if on_path and os.path.samefile(on_path, ours):
        return "yett"
    return short(ours)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
