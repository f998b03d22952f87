"""The list of commands."""

from __future__ import annotations

import typer

from yett.cli import (
    access,
    assertion_keys,
    certs,
    check,
    demo,
    diff,
    examples,
    explain,
    identity,
    import_,
    init,
    keys,
    limits,
    lint,
    quota,
    reload,
    replay,
    revoke,
    run,
    schema,
    selftest,
    status,
    test,
)

app = typer.Typer(
    name="yett",
    help="A secure API gateway for microservices.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Exit codes: {examples.CODES} Each command has examples under its `--help`.",
)

app.command("init")(init.init)
app.command("check")(check.check)
app.command("lint")(lint.lint)
app.command("test")(test.run_tests)
app.command("explain")(explain.explain)
app.command("access")(access.access)
app.command("diff")(diff.diff)
app.command("replay")(replay.replay)
app.command("run")(run.run)
app.command("reload")(reload.reload)
app.command("status")(status.status)
app.command("revoke")(revoke.revoke)
app.command("selftest")(selftest.selftest)
app.command("schema")(schema.schema)
keys.app.add_typer(assertion_keys.app, name="assertion")
app.add_typer(keys.app, name="keys")
app.add_typer(identity.app, name="identity")
app.add_typer(limits.app, name="limits")
app.add_typer(quota.app, name="quota")
app.add_typer(certs.app, name="certs")
app.add_typer(import_.app, name="import")
app.add_typer(demo.app, name="demo")
examples.attach(app)


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    """A secure API gateway for microservices."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"yett {installed('yett')}")
        raise typer.Exit
