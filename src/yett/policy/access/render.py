"""The access map for people and programs: text, Markdown, HTML, JSON."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

from yett.config.words import code
from yett.policy.access.reach import Access, Cell, Row
from yett.policy.markdown import cell as escaped

HEAD = ("route", "methods", "path", "who")


def who(row: Row) -> list[str]:
    """Everyone who reaches it, in words."""
    return [text(one.label, cell, row) for one, cell in row.who()] or ["nobody"]


def text(label: str, cell: Cell, row: Row) -> str:
    """A class and its conditions."""
    own = ["of the tenant"] if row.tenant and label != "anyone" else []
    conditions = [f"given {' and '.join(cell.conditions)}"] if cell.conditions else []
    return ", ".join([label, *own, *conditions])


def notes(access: Access) -> list[str]:
    """What limits the map."""
    return ["there are more classes of callers than are shown"] if access.truncated else []


def lines(access: Access) -> Iterator[str]:
    """A table; who reaches a route stands below each other."""
    table = [
        (row.route, " ".join(row.methods), row.path, person) for row in access.rows for person in who(row)
    ]
    widths = [max([len(HEAD[column]), *(len(line[column]) for line in table)]) for column in range(3)]
    yield "  ".join([*(head.ljust(width) for head, width in zip(HEAD, widths, strict=False)), HEAD[3]])
    before: tuple[str, ...] = ()
    for line in table:
        shown = ("", "", "") if line[:3] == before else line[:3]
        before = line[:3]
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(shown, widths, strict=True)), line[3]])
    yield from notes(access)


def markdown(access: Access) -> Iterator[str]:
    """A table for wikis and pull requests."""
    yield "| route | methods | path | who |"
    yield "|---|---|---|---|"
    for row in access.rows:
        people = "<br>".join(escaped(person) for person in who(row))
        yield f"| {escaped(row.route)} | {' '.join(row.methods)} | {escaped(code(row.path))} | {people} |"
    yield from notes(access)


def page(access: Access, title: str) -> str:
    """A page of its own: no script, nothing fetched."""
    rows = "\n".join(
        "<tr><td>{}</td><td>{}</td><td><code>{}</code></td><td>{}</td></tr>".format(
            html.escape(row.route), html.escape(" ".join(row.methods)), html.escape(row.path),
            "<br>".join(html.escape(person) for person in who(row)),
        )
        for row in access.rows
    )  # fmt: skip
    said = "".join(f"<p>{html.escape(note)}</p>" for note in notes(access))
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{html.escape(title)}</title>
<style>body {{font: 14px sans-serif}} td, th {{text-align: left; vertical-align: top; padding: 2px 12px 2px 0; border-top: 1px solid #ccc}}</style>
<h1>{html.escape(title)}</h1>
<table>
<tr><th>route</th><th>methods</th><th>path</th><th>who</th></tr>
{rows}
</table>
{said}
</html>
"""


def document(access: Access) -> dict[str, Any]:
    """Everything: also who does not reach a route, and why."""
    return {
        "classes": [one.label for one in access.classes],
        "truncated": access.truncated,
        "routes": [
            {
                **_row(row),
                "who": who(row),
                "classes": {
                    one.label: {
                        "reaches": cell.reaches,
                        "conditions": list(cell.conditions),
                        "reason": cell.reason,
                    }
                    for one, cell in row.cells.items()
                },
            }
            for row in access.rows
        ],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "route": row.route, "group": row.group, "path": row.path, "hosts": row.hosts, "listeners": row.listeners,
        "methods": row.methods, "tenant": row.tenant,
    }  # fmt: skip


def reached(rows: list[Row]) -> list[dict[str, Any]]:
    """What one caller could reach."""
    return [
        {**_row(row), "conditions": list(cell.conditions)}
        for row in rows
        for cell in row.cells.values()
        if cell.reaches
    ]


def caller_lines(known: dict[str, Any] | None, rows: list[Row]) -> Iterator[str]:
    """What one caller could reach, for people: a route and methods a line."""
    if known is None:
        yield "no route knows this caller; what it reaches is open to anyone"
    else:
        scopes, roles = " ".join(known["scopes"]) or "none", " ".join(known["roles"]) or "none"
        tenant = f", tenant {known['tenant']}" if known["tenant"] else ""
        yield f"a {known['kind']}, by {known['provider']}; scopes: {scopes}; roles: {roles}{tenant}"
    yield ""
    found = reached(rows)
    widths = [max([0, *(len(value(one)) for one in found)]) for value in (_name, _methods)]
    for one in found:
        conditions = f"  given {' and '.join(one['conditions'])}" if one["conditions"] else ""
        yield f"{_name(one):<{widths[0]}}  {_methods(one):<{widths[1]}}  {one['path']}{conditions}"
    methods = sum(len(row.methods) for row in rows)
    yield f"{sum(len(one['methods']) for one in found)} of {methods} routes and methods"


def _name(one: dict[str, Any]) -> str:
    return str(one["route"])


def _methods(one: dict[str, Any]) -> str:
    return " ".join(one["methods"])
