"""google/cel-spec's simple conformance tests: the data of the Go module `cel.dev/expr`, and what we say to it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.go_tools import HOME, ROOT, go_module
from tests.support.textproto import Message, Text, every, one, parse

MODULE = "cel.dev/expr@v0.26.0"
_KINDS = {
    "bool_value": "bool", "int64_value": "int", "uint64_value": "uint", "double_value": "double", "string_value": "string",
    "bytes_value": "bytes", "null_value": "null", "type_value": "type",
}  # fmt: skip
_TYPES = {"google.protobuf.Timestamp", "google.protobuf.Duration"}


class Unsupported(Exception):
    """The case needs a part of the language that is off."""


@dataclass(frozen=True, eq=False)
class Case:
    """One test of the specification."""

    file: str
    section: str
    name: str
    fields: Message

    @property
    def id(self) -> str:
        return f"{self.file}/{self.section}/{self.name}"

    @property
    def expression(self) -> str:
        return bytes(one(self.fields, "expr")).decode()

    @property
    def fails(self) -> bool:
        """Whether an error is wanted."""
        return one(self.fields, "eval_error") is not None or one(self.fields, "any_eval_errors") is not None

    def question(self) -> dict[str, Any]:
        """What the evaluator is asked."""
        bindings = {}
        for entry in every(self.fields, "bindings"):
            holder = one(entry, "value")
            if one(holder, "value") is None:
                raise Unsupported("bindings to errors and unknowns")
            bindings[bytes(one(entry, "key")).decode()] = value(one(holder, "value"))
        return {"expr": self.expression, "bindings": bindings}

    def wanted(self) -> Any:
        """The value that has to come out."""
        found = one(self.fields, "value")
        if found is None and one(self.fields, "typed_result") is not None:
            found = one(one(self.fields, "typed_result"), "result")
        return {"bool": True} if found is None else value(found)


def value(fields: Message) -> Any:
    """A value of the specification in the form of the evaluator."""
    ((name, inner),) = fields
    if name == "null_value":
        return {"null": None}
    if name in _KINDS:
        kind = _KINDS[name]
        if kind == "bool":
            return {kind: inner == "true"}
        if kind == "bytes":
            return {kind: list(inner)}
        return {kind: bytes(inner).decode() if isinstance(inner, Text) else inner}
    if name == "list_value":
        return {"list": [value(item) for item in every(inner, "values")]}
    if name == "map_value":
        return {
            "map": [
                [value(one(entry, "key")), value(one(entry, "value"))] for entry in every(inner, "entries")
            ]
        }
    if name == "object_value":
        ((type_name, content),) = inner
        short = type_name.strip("[]").rpartition("/")[2]
        if short in _TYPES:
            nanoseconds = int(one(content, "seconds") or 0) * 10**9 + int(one(content, "nanos") or 0)
            return {"timestamp" if short.endswith("Timestamp") else "duration": str(nanoseconds)}
    raise Unsupported(f"values of `{name}`")


def cases() -> Iterator[Case]:
    """All tests of all files."""
    directory = go_module(MODULE) / "tests" / "simple" / "testdata"
    for path in sorted(directory.glob("*.textproto")):
        for section in every(parse(path.read_text(encoding="utf-8")), "section"):
            for test in every(section, "test"):
                yield Case(
                    path.stem, bytes(one(section, "name")).decode(), bytes(one(test, "name")).decode(), test
                )


def evaluator() -> Path:
    """The program that evaluates; built with the other tests of the data plane."""
    built = os.environ.get("YETT_CEL_CONFORMANCE")
    if built:
        return Path(built)
    subprocess.run(
        # With --workspace the features, and so the crates, are those of `cargo test --workspace`: nothing is rebuilt.
        ["cargo", "build", "--quiet", "--locked", "--workspace", "--example", "cel_conformance"],
        cwd=ROOT,
        check=True,
    )
    return HOME.parent / "debug" / "examples" / "cel_conformance"


def answers(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What comes out, in order."""
    text = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run([evaluator()], input=text, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


def same(wanted: Any, got: Any) -> bool:
    """Equality of values: doubles as numbers, maps without order."""
    if not isinstance(wanted, dict) or not isinstance(got, dict) or set(wanted) != set(got):
        return False
    ((kind, left),) = wanted.items()
    right = got[kind]
    if kind == "double":
        a, b = float(left), float(right)
        return a == b or (a != a and b != b)
    if kind == "list":
        return len(left) == len(right) and all(map(same, left, right))
    if kind == "map":
        return len(left) == len(right) and all(
            any(same(key, other) and same(item, found) for other, found in right) for key, item in left
        )
    return bool(left == right)
