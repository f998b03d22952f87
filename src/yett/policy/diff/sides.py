"""What is compared: a file, a file of a Git revision, or the file of an environment."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yett.policy.engine import Engine, Unanswerable, of_loaded

if TYPE_CHECKING:
    from yett.config import Compiled

# Files that are looked at for the name of an environment, and what of a working tree Git does not know.
MOST_FILES = 1_000
MOST_UNTRACKED = 10_000


@dataclass(frozen=True)
class Side:
    """One of two configurations."""

    engine: Engine
    document: dict[str, Any]
    """As compiled, with paths below its own directory relative to that, so that a copy elsewhere is the same."""
    compiled: Compiled | None
    directory: Path


def read(what: str) -> Side:
    """`gateway.yaml`, a directory with one, `REVISION:gateway.yaml` as Git writes it, or `production`.

    Raises:
        yett.control.source.Refused: with everything that is wrong with the configuration.
        Unanswerable: there is no such file, revision or environment.
    """
    path = Path(what)
    if path.exists():
        return _file(path)
    revision, mark, name = what.partition(":")
    if mark and revision and name:
        return _revision(revision, name)
    found = [path for path in _candidates() if _environment(path) == what]
    if len(found) == 1:
        return _file(found[0])
    if found:
        names = ", ".join(f"`{path}`" for path in found)
        raise Unanswerable(f"`{what}` is the environment of {names}; name the file")
    raise Unanswerable(
        f"`{what}` is no file, and no file here says `environment: {what}`; write a file, or a revision and a file such as "
        "`origin/main:gateway.yaml`"
    )


def _file(path: Path) -> Side:
    from yett.control import source

    if path.is_dir():
        names = [path / name for name in ("gateway.yaml", "gateway.py") if (path / name).is_file()]
        if not names:
            raise Unanswerable(f"`{path}` has no gateway.yaml; name the configuration")
        path = names[0]
    loaded = source.read(path)
    engine = of_loaded(loaded, path, offline=True)
    directory = path.parent.absolute()
    return Side(engine, _relative(engine.document, directory), loaded.compiled, directory)


def _relative(document: dict[str, Any], directory: Path) -> dict[str, Any]:
    found = dict(document)
    for part, key in (("access_log", "file"), ("decision_log", "file"), ("state", "directory")):
        value = found.get(part)
        if isinstance(value, dict) and isinstance(value.get(key), str):
            path = Path(value[key])
            shown = path.relative_to(directory) if path.is_relative_to(directory) else path
            found[part] = {**value, key: str(shown)}
    return found | {"address_lists": [_beside(one, directory) for one in found.get("address_lists", [])]}


def _beside(one: dict[str, Any], directory: Path) -> dict[str, Any]:
    file = Path(one["file"]) if one.get("file") else None
    return (
        {**one, "file": str(file.relative_to(directory))} if file and file.is_relative_to(directory) else one
    )


def _candidates() -> Iterator[Path]:
    here = Path()
    files = (path for pattern in ("*.yaml", "*/*.yaml") for path in sorted(here.glob(pattern)))
    for count, path in enumerate(files):
        if count >= MOST_FILES:
            return
        yield path


def _environment(path: Path) -> str | None:
    from yett.config.reading import Unreadable, parse

    try:
        value = parse(path.read_bytes(), path.parent, str(path)).value
    except (OSError, Unreadable):
        return None
    name = (
        value.get("environment") if isinstance(value, dict) and value.keys() & {"listeners", "base"} else None
    )
    return name if isinstance(name, str) else None


def _revision(revision: str, name: str) -> Side:
    """A file as it was, with the files beside it as they were; what Git does not know, such as keys, is that of today."""
    from yett.control import source

    with _tree(revision) as (tree, top):
        inside = Path(name) if not name.startswith(".") else Path(os.path.relpath(Path(name).absolute(), top))
        path = tree / inside
        if inside.is_absolute() or ".." in inside.parts or not path.exists():
            raise Unanswerable(
                f"`{revision}` has no `{name}`; write it from the top of the repository, or with `./`"
            )
        try:
            return _file(path)
        except source.Refused as refused:
            raise source.Refused(
                [_shown(problem, f"{tree}/", f"{revision}:") for problem in refused.problems]
            ) from None


def _shown(problem: dict[str, Any], tree: str, revision: str) -> dict[str, Any]:
    return {
        key: value.replace(tree, revision) if isinstance(value, str) else value
        for key, value in problem.items()
    }


@contextmanager
def _tree(revision: str) -> Iterator[tuple[Path, Path]]:
    """All files of a revision in a directory of ours; nothing of the repository is touched."""
    top = Path(_git("rev-parse", "--show-toplevel"))
    try:
        commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except Unanswerable:
        raise Unanswerable(f"`{revision}` is no revision here; `git log` shows them") from None
    with tempfile.TemporaryDirectory(prefix="yett-diff-") as made:
        tree = Path(made).resolve() / "tree"
        index = {**os.environ, "GIT_INDEX_FILE": f"{made}/index"}
        _git("read-tree", commit, cwd=top, env=index)
        _git("checkout-index", "--all", f"--prefix={tree}/", cwd=top, env=index)
        tree.mkdir(exist_ok=True)
        others = _git("ls-files", "--others", "--directory", "-z", cwd=top).split("\0")
        for count, name in enumerate(filter(None, others)):
            if count >= MOST_UNTRACKED:
                raise Unanswerable(
                    "there are too many files that Git does not know; name a checkout of that revision"
                )
            place = tree / name.rstrip("/")
            if not os.path.lexists(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(top / name.rstrip("/"))
        yield tree, top


def _git(*words: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=cwd, env=env, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise Unanswerable("a revision needs `git`, which is not here; name a file") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines() or ["it failed"]
        raise Unanswerable(f"git: {said[-1].removeprefix('fatal: ')}") from None
    return done.stdout.rstrip("\n")
