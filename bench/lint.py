"""How long `yett lint` takes: `python -m bench.lint 1000` writes a configuration of so many routes and lints it."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path


def configuration(routes: int) -> str:
    """A configuration in production, with a finding in every tenth route."""
    lines = [
        "version: 1",
        "environment: production",
        'listeners: {local: {address: 127.0.0.1:8080, plaintext: "bench"}}',
        "identity_providers:",
        "  id: {type: jwt, issuer: https://id.example, audience: shop, jwks: {url: https://id.example/jwks.json}}",
        "services:",
    ]
    for number in range(max(1, routes // 20)):
        lines.append(f"  s{number}: {{endpoints: https://s{number}.internal}}")
    lines.append("groups:")
    for number in range(max(1, routes // 50)):
        lines += [
            f"  g{number}:",
            f"    hosts: g{number}.example.com",
            "    authenticate: id",
            f"    rate_limit: {{per-{number}: {{rate: 50/s, burst: 100, key: principal}}}}",
        ]
    lines.append("routes:")
    for number in range(routes):
        rule = "{addresses: 10.0.0.0/8}" if number % 10 == 0 else f"{{scopes: r{number}.read}}"
        lines += [
            f"  r{number}:",
            f"    group: g{number % max(1, routes // 50)}",
            f'    match: {{path: "/r{number}/{{id}}", methods: {{any_of: [GET, PUT]}}}}',
            f"    authorize: {rule}",
            f"    service: s{number % max(1, routes // 20)}",
        ]
    return "\n".join(lines) + "\n"


def main(routes: int) -> None:
    """Prints the best of five."""
    from yett.config import compile_file
    from yett.policy.linter.context import Context
    from yett.policy.linter.run import run

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "gateway.yaml"
        file.write_text(configuration(routes))
        compiling, linting, found = [], [], 0
        for _ in range(5):
            begin = time.perf_counter()
            compiled = compile_file(file)
            middle = time.perf_counter()
            found = len(run(Context(compiled)).findings)
            compiling.append(middle - begin)
            linting.append(time.perf_counter() - middle)
    print(
        f"{routes} routes, {found} findings: {min(compiling):.3f} s to read and compile, {min(linting):.3f} s to lint"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
