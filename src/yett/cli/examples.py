"""Examples and exit codes at the end of each command's help."""

from __future__ import annotations

import typer

CODES = "0 clean, 1 findings (errors in a configuration included), 2 wrong usage."

# By the words of the command: lines to type, and what an exit code means where it says more than `CODES`.
EXAMPLES: dict[str, tuple[tuple[str, ...], str]] = {
    "init": (("yett init", "yett init try"), "0 written, 1 a file is there already, 2 wrong usage."),
    "check": (("yett check gateway.yaml", "yett check gateway.yaml --format json"), "0 it loads, 1 it does not, 2 wrong usage."),
    "lint": (
        ("yett lint gateway.yaml", "yett lint gateway.yaml --strict --format sarif > lint.sarif", "yett lint gateway.yaml --fix"),
        "0 no error (with --strict: nothing at all), 1 findings, 2 wrong usage.",
    ),
    "test": (
        ("yett test gateway.yaml", "yett test gateway.yaml orders.tests.yaml --coverage --junit report.xml"),
        "0 all passed, 1 a test failed or the configuration does not load, 2 wrong usage.",
    ),
    "explain": (
        (
            "yett explain gateway.yaml https://api.example.com/orders/17 --token-file token.txt",
            "yett explain gateway.yaml https://api.example.com/orders -X POST --principal '{provider: id, subject: ann}'",
            "yett explain gateway.yaml list-orders",
            "yett explain gateway.yaml --request-id 01a2273d-a249-7815-a68e-4111758b91b6 --log access.jsonl",
        ),
        "0 let in, 1 refused (or the configuration does not load), 2 wrong usage.",
    ),
    "access": (
        ("yett access gateway.yaml", "yett access gateway.yaml --as acme", "yett access gateway.yaml --used access.jsonl --days 90"),
        CODES,
    ),
    "diff": (
        (
            "yett diff origin/main:gateway.yaml gateway.yaml",
            "yett diff old.yaml new.yaml --allow-widening routes.list-orders.scopes.GET@bb969343a1c37f9e",
        ),
        "0 nothing widens but what was allowed, 1 something does (or one side does not load), 2 wrong usage.",
    ),
    "replay": (
        ("yett replay decisions.jsonl --config gateway.yaml", "yett replay decisions.jsonl.1.gz decisions.jsonl --config new.yaml --format markdown"),
        "0 all as before, 1 a flip, an undecidable or a damaged record (or the configuration does not load), 2 wrong usage.",
    ),
    "run": (
        (
            "yett run gateway.yaml",
            "yett run gateway.yaml --workers 4 --admin 127.0.0.1:9901 --watch",
            "yett run gateway.yaml --takeover",
        ),
        "0 it was stopped, or a successor took over; 1 it did not come to serve; 2 wrong usage.",
    ),
    "reload": (
        ("yett reload gateway.yaml",),
        "0 the new configuration serves, 1 it does not load (the old one serves on) or nobody answers, 2 wrong usage.",
    ),
    "status": (
        ("yett status gateway.yaml", "yett status --socket /run/yett/control.sock --format json"),
        "0 it answers, 1 nobody does, 2 wrong usage.",
    ),
    "revoke": (
        (
            "yett revoke gateway.yaml --token - < token.txt",
            "yett revoke gateway.yaml --subject ann --issuer https://id.example.com",
            "yett revoke gateway.yaml --key ti8770bx8ug7",
            "yett revoke gateway.yaml --issuer-before https://id.example.com --before 2026-11-28T12:00:00Z",
            "yett revoke gateway.yaml --list",
        ),
        "0 acknowledged, 1 it is not or nobody answers, 2 wrong usage.",
    ),
    "selftest": (
        ("yett selftest --services gateway.yaml",),
        "0 every service refuses, 1 one answers or cannot be asked, 2 wrong usage.",
    ),
    "schema": (("yett schema --output yett.schema.json",), CODES),
    "keys create": (
        ("yett keys create --name acme --scope orders.read --expires 90d", "yett keys create --name scanner --kind device --allow 192.0.2.0/24 --reload"),
        CODES,
    ),
    "keys rotate": (("yett keys rotate --name acme --overlap 7d",), CODES),
    "keys expire": (("yett keys expire --name acme --at 2027-01-31",), CODES),
    "keys revoke": (("yett keys revoke --name acme --reload",), CODES),
    "keys show": (("yett keys show --name acme",), CODES),
    "keys list": (("yett keys list", "yett keys list --used --config gateway.yaml"), CODES),
    "keys assertion create": (("yett keys assertion create --file identity.keys.pem",), CODES),
    "keys assertion rotate": (("yett keys assertion rotate --file identity.keys.pem --publish 1h",), CODES),
    "identity jwks": (("yett identity jwks gateway.yaml --output identity.jwks.json",), CODES),
    "quota show": (
        ("yett quota show gateway.yaml", "yett quota show gateway.yaml --above 80%", "yett quota show gateway.yaml --key acme --format json"),
        "0 shown (with --above: nobody is), 1 somebody is above it, or nobody answers, 2 wrong usage.",
    ),
    "quota reset": (
        ("yett quota reset per-partner acme gateway.yaml",),
        "0 it begins anew, 1 it does not (or nobody answers), 2 wrong usage.",
    ),
    "bans show": (
        ("yett bans show gateway.yaml", "yett bans show gateway.yaml --format json"),
        "0 shown, 1 nobody answers, 2 wrong usage.",
    ),
    "bans lift": (
        ("yett bans lift 192.0.2.1 gateway.yaml",),
        "0 it is lifted, 1 there is none (or nobody answers), 2 wrong usage.",
    ),
    "limits suggest": (
        ("yett limits suggest access.jsonl --config gateway.yaml", "yett limits suggest access.jsonl --format yaml"),
        "0 suggested, 1 too little to go by (or the configuration does not load), 2 wrong usage.",
    ),
    "import openapi": (
        ("yett import openapi shop.yaml --output shop --service https://orders.internal:8443",),
        "0 written, 1 it cannot be imported, 2 wrong usage.",
    ),
    "certs list": (
        ("yett certs list gateway.yaml --within 14",),
        "0 all have more days left, 1 one has not or is still to come, 2 wrong usage.",
    ),
    "certs check": (("yett certs check gateway.yaml --connect",), CODES),
    "certs rehearse": (("yett certs rehearse gateway.yaml",), "0 all as expected, 1 a surprise, 2 wrong usage."),
    "keys": (("yett keys create --name acme --scope orders.read", "yett keys list"), CODES),
    "keys assertion": (("yett keys assertion create --file identity.keys.pem",), CODES),
    "identity": (("yett identity jwks gateway.yaml --output identity.jwks.json",), CODES),
    "quota": (("yett quota show gateway.yaml", "yett quota reset per-partner acme gateway.yaml"), CODES),
    "bans": (("yett bans show gateway.yaml", "yett bans lift 192.0.2.1 gateway.yaml"), CODES),
    "limits": (("yett limits suggest access.jsonl --config gateway.yaml",), CODES),
    "import": (("yett import openapi shop.yaml --output shop --service https://orders.internal:8443",), CODES),
    "certs": (("yett certs list gateway.yaml", "yett certs check gateway.yaml --connect"), CODES),
    "demo": (
        ("yett demo", "yett demo --check", "yett demo --attack stuffing"),
        "0 it ended well, 1 something was not as it should be, 2 wrong usage.",
    ),
    "demo prepare": (
        ("yett demo prepare",),
        "0 made or there already, 1 the shop is not here, 2 wrong usage.",
    ),
    "demo token": (
        ("yett demo token --client mobile", "yett demo token --client accountant --scope billing.read"),
        "0 printed, 1 no demo runs, 2 wrong usage.",
    ),
}  # fmt: skip


def epilog(words: str) -> str:
    """What stands at the end of a command's help; paragraphs, which keep their lines apart."""
    lines, codes = EXAMPLES.get(words, ((), CODES))
    examples = ["Examples:", *(f"  {line}" for line in lines)] if lines else []
    return "\n\n".join([*examples, f"Exit codes: {codes}"])


def attach(app: typer.Typer, before: str = "") -> None:
    """Gives every command and every group of them its end."""
    for command in app.registered_commands:
        words = f"{before}{command.name or getattr(command.callback, '__name__', '')}"
        command.epilog = command.epilog or epilog(words)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.epilog = group.epilog or epilog(f"{before}{group.name}")
            attach(group.typer_instance, f"{before}{group.name} ")
