"""How fast `yett replay` is: `python -m bench.replay` records real requests under load and has them judged again."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from bench import tokens, tools
from bench.columns import PATH, Column, origin_config, start_yett, started
from bench.load import wrk
from bench.processes import free_port, serving

LINES = 1_000_000
COLUMN = Column("yett-records", "Yett", "", start_yett, "yett-records.yaml", tokens=True)


def main() -> None:
    """Prints decisions a second of CPU, the start of Python and the reading of the configuration included."""
    tools.debian()
    tools.WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tools.WORK, prefix="replay-") as name:
        directory = Path(name)
        tokens.make(directory)
        (directory / "records.key").write_text("0123456789abcdef0123456789abcdef")
        port = free_port()
        nginx = [tools.tool("nginx"), "-e", "stderr", "-c", str(origin_config(directory, port))]
        with serving("origin", port, nginx, directory), started(COLUMN, directory, port) as server:
            wrk(server.port, PATH, 3, directory / "tokens.txt")
            config = directory / f"{server.port}-{COLUMN.template}"
        recorded = (directory / "decisions.jsonl").read_bytes()
        lines = recorded.count(b"\n")
        many = directory / "many.jsonl"
        times = max(1, LINES // lines)
        many.write_bytes(recorded * times)
        command = [str(tools.yett()), "replay", str(many), "--config", str(config)]
        before = os.times()
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        after = os.times()
    if done.returncode != 0:
        raise SystemExit(f"yett replay ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    print(
        f"{lines * times:,} records of {lines:,} requests in {cpu:.2f} s of CPU: {lines * times / cpu:,.0f} a second"
    )
    print(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
