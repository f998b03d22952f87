"""`--fix`: exact edits that change nothing else, and never what is served."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yett.config import compile_file
from yett.config.reading import parse
from yett.policy.linter import fix as fixes
from yett.policy.linter import fixing
from yett.policy.linter.context import Context
from yett.policy.linter.run import run


def edit(text: str, change: fixes.Fix) -> str:
    return fixes.apply(change, parse(text.encode(), Path("x.yaml"), "x.yaml"), text)[1]


def remove(*at: str | int) -> fixes.Remove:
    return fixes.Remove(at, "it")


BLOCK = """\
# the file
services:
  # first
  a: {endpoints: x}   # trailing

  # second
  b:
    endpoints: y
    # inside
    note: |
      two
      lines
  # third
  c: {endpoints: z}
# the end
routes: {r: 1}
"""


def test_a_block_goes_and_comments_around_it_stay() -> None:
    expected = BLOCK.replace(
        "  b:\n    endpoints: y\n    # inside\n    note: |\n      two\n      lines\n", ""
    )
    assert edit(BLOCK, remove("services", "b")) == expected


def test_the_last_of_a_block_goes() -> None:
    assert edit(BLOCK, remove("services", "c")) == BLOCK.replace("  c: {endpoints: z}\n", "")


def test_what_is_empty_then_goes_with_it() -> None:
    assert edit("a: 1\nb:\n  c:\n    d: 2\ne: 3\n", remove("b", "c", "d")) == "a: 1\ne: 3\n"


@pytest.mark.parametrize(
    ("text", "at", "after"),
    [
        ("s: {a: 1, b: {c: '}'}, d: 2}\n", ("s", "b"), "s: {a: 1, d: 2}\n"),
        ("s: {a: 1, b: {c: \"},\\\"\"}}\n", ("s", "b"), "s: {a: 1}\n"),
        ("s: {a: 1,\n  b: 2,  # why\n  c: 3}\n", ("s", "c"), "s: {a: 1,\n  b: 2}\n"),
        ("s: [1, 2, 3]\n", ("s", 1), "s: [1, 3]\n"),
        ("s:\n  - 1\n  - 2\n  - 3\n", ("s", 1), "s:\n  - 1\n  - 3\n"),
    ],
)  # fmt: skip
def test_parts_in_braces(text: str, at: tuple[str | int, ...], after: str) -> None:
    if "# why" in text:
        with pytest.raises(fixes.Unfixable):  # the comment would go
            edit(text, remove(*at))
    else:
        assert edit(text, remove(*at)) == after


@pytest.mark.parametrize(
    ("text", "into", "after"),
    [
        ("# top\nversion: 1\nlisteners: {}\n", (), "# top\nversion: 1\ndefaults: {a: 1}\nlisteners: {}\n"),
        ("d:\n  # why\n  x: 1\n", ("d",), "d:\n  # why\n  defaults: {a: 1}\n  x: 1\n"),
        ("d: {x: 1}  # why\n", ("d",), "d: {defaults: {a: 1}, x: 1}  # why\n"),
    ],
)
def test_a_key_is_written(text: str, into: tuple[str, ...], after: str) -> None:
    change = fixes.Insert(into, "defaults", {"a": 1}, "{a: 1}", before="listeners")
    assert edit(text, change) == after


def test_a_key_that_is_there_is_not_written_again() -> None:
    with pytest.raises(fixes.Unfixable):
        edit("d: {defaults: 1}\n", fixes.Insert(("d",), "defaults", 1, "1"))


names = st.sampled_from("abcdefgh")
values = st.recursive(
    st.sampled_from(["x", "a b", "it's", '"', "#no", "a: b", "{", "}", "1"]),
    lambda below: (
        st.dictionaries(names, below, min_size=1, max_size=4) | st.lists(below, min_size=1, max_size=3)
    ),
    max_leaves=12,
)


def written(value: object, indent: int, flow: bool) -> str:
    """A way to write a value, with a comment before each key of a block."""
    import json

    if not isinstance(value, dict | list) or flow:
        return json.dumps(value)
    pad = " " * indent
    if isinstance(value, list):
        return "".join(f"\n{pad}- {json.dumps(item)}" for item in value)
    return "".join(
        f"\n{pad}# {key}\n{pad}{key}: {written(item, indent + 2, key in 'ab')}" for key, item in value.items()
    )


@given(st.dictionaries(names, values, min_size=2, max_size=5), st.data())
@settings(max_examples=150, deadline=None)
def test_a_removal_changes_nothing_else(document: dict[str, object], data: st.DataObject) -> None:
    text = written(document, 0, False).lstrip("\n") + "\n"
    key = data.draw(st.sampled_from(sorted(document)))
    after = edit(text, remove(key))
    assert parse(after.encode(), Path("x"), "x").value == {k: v for k, v in document.items() if k != key}
    assert f"# {key}\n" in after
    lines = text.splitlines()
    kept = iter(lines)
    assert all(line in kept for line in after.splitlines())


CONFIG = """\
# ours
version: 1
listeners: {local: {address: 127.0.0.1:8080, plaintext: "same host"}}   # one
services:
  origin: {endpoints: http://127.0.0.1:9000, plaintext: "same host"}
  # left over
  legacy: {endpoints: http://127.0.0.1:9001, plaintext: "same host"}
groups: {empty: {hosts: any}}
routes:
  send: {match: {hosts: any, path: /a, methods: POST}, access: public, service: origin}
lint: {ignore: {broad-path: {at: routes.gone, reason: "was wide"}}}
"""


def test_fixes_of_findings(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    file.chmod(0o640)
    before = compile_file(file)
    done, left = fixing.write(file, before, run(Context(before)).findings)
    assert left == []
    assert [line.rpartition(" ")[2] for line in done] == [
        "[unused-service]", "[unused-group]", "[body-limit-missing]", "[ignore-unused]",
    ]  # fmt: skip
    expected = CONFIG.replace('  legacy: {endpoints: http://127.0.0.1:9001, plaintext: "same host"}\n', "")
    expected = expected.replace("groups: {empty: {hosts: any}}\n", "")
    expected = expected.replace("listeners:", "defaults: {limits: {body: 1MiB}}\nlisteners:")
    assert file.read_text() == expected[: expected.index("lint:")]
    assert file.stat().st_mode & 0o777 == 0o640
    again = run(Context(compile_file(file)))
    assert not [one for one in again.findings if one.fix]


def test_files_are_put_back_where_something_else_would_be_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    before = compile_file(file)
    monkeypatch.setattr(fixing, "_same", lambda *_: False)
    done, left = fixing.write(file, before, run(Context(before)).findings)
    assert done == [] and "nothing was written" in left[-1]
    assert file.read_text() == CONFIG
