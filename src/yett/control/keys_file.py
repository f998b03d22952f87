"""The keys file as a file: read, changed in place with its comments, written whole or not at all, by one at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAD = """\
# API keys: keyed hashes, never the keys themselves. Made with `yett keys create`; an entry that is
# removed is refused after the next reload.
version: 1
salt: "{salt}"
keys:
"""


class KeysError(Exception):
    """The keys file or what was asked for is not right; the message is for the person who asked."""


def read(file: Path) -> dict[str, Any]:
    """The document of a keys file; `keys` is a mapping, empty where there are none.

    Raises:
        KeysError: it cannot be read, or is no keys file.
    """
    try:
        return parse(file, file.read_text(encoding="utf-8"))
    except OSError as error:
        raise KeysError(f"cannot read `{file}`: {error.strerror}") from None
    except UnicodeDecodeError:
        raise KeysError(f"`{file}` is not text in UTF-8") from None


def parse(file: Path, text: str) -> dict[str, Any]:
    """The document of this text.

    Raises:
        KeysError: it is no keys file.
    """
    return _parse(file, text)[0]


def _parse(file: Path, text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The document, and the line (from 1) at which each key begins."""
    from yett import _core
    from yett.config.places import Source

    try:
        found = json.loads(_core.parse_yaml(text.encode()))
    except _core.YamlError as error:
        line, column, message = error.args
        raise KeysError(f"{file}:{line}:{column}: {message}") from None
    value = found["value"]
    salt = value.get("salt") if isinstance(value, dict) else None
    if not isinstance(salt, str) or not re.fullmatch(r"[0-9a-f]{64}", salt) or value.get("version") != 1:
        raise KeysError(f"`{file}` is no keys file: it needs `version: 1` and a `salt` of 64 hex digits")
    places = Source(file, str(file), value, found["marks"])
    keys = value.get("keys") or {}
    if not isinstance(keys, dict) or not all(isinstance(entry, dict) for entry in keys.values()):
        raise KeysError(f"`keys` in `{file}` has to map names to keys")
    lines = {name: places.place(("keys", name), key=True)[0] for name in keys}
    return {**value, "keys": keys}, lines


def appended(file: Path, text: str, name: str, entry: dict[str, Any]) -> str:
    """The text with one entry more, comments kept; proved by reading it again.

    Raises:
        KeysError: the file is of a form that nothing can be appended to.
    """
    before = parse(file, text)
    start = text if text.endswith("\n") else text + "\n"
    if not before["keys"]:
        start = re.sub(r"^keys:[ ]*\{[ ]*\}[ ]*$", "keys:", start, flags=re.MULTILINE)
    after = start + _block("  ", name, entry)
    wanted = {**before, "keys": {**before["keys"], name: entry}}
    if not _is(file, after, wanted):
        raise KeysError(f"cannot append to `{file}`: let `keys:` be its last part, indented by two spaces")
    return after


def changed(file: Path, text: str, name: str, entry: dict[str, Any] | None) -> str:
    """The text with another entry under a name that it has, or (`None`) without it; comments kept, proved likewise.

    Raises:
        KeysError: the file is not written as a block for each key.
    """
    before, starts = _parse(file, text)
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    start = starts[name] - 1
    end = min((at - 1 for at in starts.values() if at - 1 > start), default=len(lines))
    indent = re.match(r" *", lines[start])[0]  # type: ignore[index]
    # what stands before the next key with its indentation, or less, is about that one
    while end > start + 1 and _is_between(lines[end - 1], indent):
        end -= 1
    comments = [line for line in lines[start + 1 : end] if line.lstrip().startswith("#")]
    block = "" if entry is None else _block(indent, name, entry, "".join(comments))
    keys = {known: value for known, value in before["keys"].items() if known != name}
    if entry is not None:
        keys[name] = entry
    elif not keys:
        lines = [re.sub(r"^keys:[ ]*$", "keys: {}", line) for line in lines]
    after = "".join(lines[:start]) + block + "".join(lines[end:])
    if not _is(file, after, {**before, "keys": keys}):
        raise KeysError(
            f"cannot change `{name}` in `{file}`: write each key as a block, a field on each line"
        )
    return after


def _is_between(line: str, indent: str) -> bool:
    text = line.strip()
    return not text or (text.startswith("#") and len(line) - len(line.lstrip(" ")) <= len(indent))


def _block(indent: str, name: str, entry: dict[str, Any], comments: str = "") -> str:
    # JSON scalars, lists and mappings are YAML
    fields = "".join(f"{indent}  {field}: {json.dumps(value)}\n" for field, value in entry.items())
    return f'{indent}"{name}":\n{comments}{fields}'


def _is(file: Path, text: str, wanted: dict[str, Any]) -> bool:
    try:
        return parse(file, text) == wanted
    except KeysError:
        return False


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Two commands at once do not lose a key of each other.

    Raises:
        KeysError: the directory cannot be opened, or the file cannot be written in it.
    """
    try:
        directory = os.open(file.absolute().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KeysError(f"cannot open the directory of `{file}`: {error.strerror}") from None
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise KeysError(f"cannot write `{file}`: {error.strerror}") from None
    finally:
        os.close(directory)


def replace(file: Path, text: str) -> None:
    """Writes it whole: a crash leaves the old file or the new one."""
    target = file.resolve()
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        fresh.chmod(mode)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
