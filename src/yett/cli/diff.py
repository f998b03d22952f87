"""`yett diff`: what a change of a configuration widens."""

from __future__ import annotations

import typer

from yett.cli.output import FINDINGS, USAGE, ReportFormat, fail, print_json, print_lines, refusals


def diff(
    old: str = typer.Argument(
        ...,
        help="The configuration before: a file or its directory, a file of a Git revision such as `origin/main:gateway.yaml`, "
        "or the name of an environment.",
    ),
    new: str = typer.Argument(..., help="The configuration after, likewise."),
    allow_widening: list[str] = typer.Option(
        [], "--allow-widening", help="The id of a widening that is meant; more than once for several."
    ),
    format: ReportFormat = typer.Option(ReportFormat.TEXT, "--format", help="text, markdown or json."),
) -> None:
    """What widens, narrows or merely moves from one configuration to another. Fails where something widens.

    A changed condition is compared conjunct by conjunct; what cannot be shown to be equal or narrower counts as widening.
    """
    from yett.config.collector import without_collector
    from yett.policy import diff as differences
    from yett.policy.diff import render
    from yett.policy.diff.change import Kind

    with refusals(), without_collector():
        before, after = differences.read(old), differences.read(new)
        changes = differences.compare(before, after)
    widening = {one.id for one in changes if one.kind is Kind.WIDENS}
    unknown = [one for one in allow_widening if one not in widening]
    if unknown:
        fail(
            f"there is no widening `{unknown[0]}` here; its id changes with its content, so look at it again",
            USAGE,
        )
    if format is ReportFormat.JSON:
        print_json(render.document(changes, allow_widening))
    else:
        print_lines(
            (render.lines if format is ReportFormat.TEXT else render.markdown)(changes, allow_widening)
        )
    raise typer.Exit(FINDINGS if widening - set(allow_widening) else 0)
