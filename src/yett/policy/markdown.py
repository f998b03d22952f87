"""Text that others wrote, in Markdown: a cell of a table or an item of a list, and nothing but text."""

from __future__ import annotations

import re

from yett.config.words import one_line

SPAN = re.compile(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)")
"""A code span: as many backticks at its end as at its start (CommonMark 6.1)."""
_MARKS = re.compile(r"[\\`*_\[\]<>#|~&@]")
"""What may be Markdown, HTML or a mention where it stands outside of code."""


def cell(text: str) -> str:
    """What is in code spans stays there; everything else is escaped."""
    text, made, end = one_line(text), "", 0
    for span in SPAN.finditer(text):
        made += _plain(text[end : span.start()]) + span[0].replace("|", "\\|")
        end = span.end()
    return made + _plain(text[end:])


def _plain(text: str) -> str:
    return _MARKS.sub(lambda found: f"&#{ord(found[0])};", text)
