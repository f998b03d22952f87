"""Places in a configuration, and names in messages: what needs neither models nor files."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

Location = tuple[str | int, ...]


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean `x`?`, or nothing where no name is near."""
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean `{found[0]}`?" if found else ""


def code(text: str) -> str:
    """A value in backticks: more of them than stand in it in a row, so that it ends where it ends (CommonMark 6.1)."""
    fence = "`"
    while re.search(f"(?<!`){fence}(?!`)", text):
        fence += "`"
    pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def one_line(text: str) -> str:
    """What no terminal obeys and no log breaks: line ends, control and invisible characters as escapes."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def listed(names: Iterable[str], limit: int = 12) -> str:
    """`a`, `b` and `c`."""
    quoted = [code(name) for name in names]
    if len(quoted) > limit:
        return ", ".join(quoted[:limit]) + " …"
    return (
        quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f" and {quoted[-1]}" if quoted else "none"
    )


def on_routes(what: str, reasons: Iterable[tuple[str | None, str]]) -> list[str]:
    """A sentence for each reason: what is so on which routes, and why. Pairs of reason, if there is one, and route."""
    found: dict[str, list[str]] = {}
    for reason, route in reasons:
        if reason is not None:
            found.setdefault(reason, []).append(route)
    return [
        f"{what} on {'route' if len(names) == 1 else 'routes'} {listed(names)}: {reason}"
        for reason, names in found.items()
    ]
