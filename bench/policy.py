"""What policy as code takes: `python -m bench.policy` times `yett lint`, `yett diff` and `yett test` of a release build, as a user types them."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from bench import tools
from bench.lint import configuration

ROUTES = 1_000
CASES = 10_000
CALLERS = 10


def tests(routes: int, cases: int) -> str:
    """A file of policy tests: each route asked for by callers who may and one who may not."""
    lines = ["version: 1", "base: http://127.0.0.1:8080", "principals:"]
    for caller in range(CALLERS):
        scopes = " ".join(f"r{number}.read" for number in range(caller, routes, CALLERS))
        lines.append(f"  c{caller}: {{provider: id, subject: c{caller}, scopes: {scopes}}}")
    lines.append("tests:")
    for number in range(cases // CALLERS):
        route = number % routes
        wanted = ["allow" if caller == route % CALLERS else "scope_missing" for caller in range(CALLERS)]
        lines += [
            f"  t{number}:",
            f"    request: GET http://g{route % max(1, routes // 50)}.example.com/r{route}/{number}",
        ]
        if route % 10 == 0:
            lines += ["    address: 10.0.0.1", "    principals:"]
            wanted = ["allow"] * CALLERS
        else:
            lines.append("    principals:")
        lines += [f"      c{caller}: {outcome}" for caller, outcome in enumerate(wanted)]
    return "\n".join(lines) + "\n"


def written(directory: Path, routes: int, cases: int) -> tuple[Path, Path, Path]:
    """Files: a configuration, the same with one rule that is wider, and tests of it."""
    old, new, file = (directory / part for part in ("old.yaml", "new.yaml", "cases.tests.yaml"))
    text = configuration(routes).replace("environment: production\n", "")
    old.write_text(text)
    new.write_text(text.replace("{scopes: r17.read}", "{scopes: {any_of: [r17.read, r18.read]}}"))
    file.write_text(tests(routes, cases))
    return old, new, file


def timed(name: str, command: list[str], expected: int) -> None:
    """Prints wall and CPU seconds of a command, the best of three."""
    best = (float("inf"), 0.0)
    for _ in range(3):
        before = os.times()
        begin = time.perf_counter()
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        wall = time.perf_counter() - begin
        after = os.times()
        if done.returncode != expected:
            raise SystemExit(f"{name} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        best = min(best, (wall, cpu))
    print(f"{name}: {best[0]:.2f} s, of which {best[1]:.2f} s of CPU")


def main() -> None:
    """Needs a release build, which it makes when there is none."""
    yett = str(tools.yett())
    with tempfile.TemporaryDirectory() as name:
        old, new, cases = written(Path(name), ROUTES, CASES)
        timed("yett --version (the start of Python)", [yett, "--version"], 0)
        timed(f"yett lint, {ROUTES} routes", [yett, "lint", str(old)], 1)
        timed(f"yett diff, {ROUTES} routes, the same", [yett, "diff", str(old), str(old)], 0)
        timed(f"yett diff, {ROUTES} routes, one widened", [yett, "diff", str(old), str(new)], 1)
        timed(f"yett test, {CASES} cases", [yett, "test", str(old), str(cases)], 0)


if __name__ == "__main__":
    main()
