"""A configuration file and everything that it includes, read and validated."""

from __future__ import annotations

import runpy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from yett.config import overlay
from yett.config.base import Location
from yett.config.gateway import Gateway, Part
from yett.config.messages import translate
from yett.config.places import Places, Source
from yett.config.reading import Unreadable, find_nulls, parse
from yett.config.resolve import Material, resolve
from yett.config.spiffe import Workloads
from yett.errors import ConfigError, ConfigurationError

SHARED = ("identity_providers", "services", "groups", "routes")
MAX_FILES = 1000


@dataclass
class Loaded:
    """A configuration that has the right shape. Whether its parts fit together is the compiler's question."""

    path: Path
    gateway: Gateway
    places: Places
    material: Material
    owners: dict[Location, str] = field(default_factory=dict)
    errors: list[ConfigError] = field(default_factory=list)
    """Faults of files and secrets, reported together with those of the compiler."""
    watched: tuple[Path, ...] = ()
    """Every file that was read."""
    dropped: frozenset[Location] = frozenset()
    """Named entries that are wrong in themselves and left out, so that faults of the others are found as well."""


def load_path(path: str | Path) -> Loaded:
    """Reads a `.yaml` file, or a `.py` file that defines `gateway`. Raises `ConfigurationError`."""
    loaded = read_path(path)
    if loaded.errors:
        raise ConfigurationError(loaded.errors)
    return loaded


def read_path(path: str | Path, workloads: Workloads | None = None) -> Loaded:
    """As `load_path`, but faults that leave something to look at stand in `errors`. For the compiler, which reports all."""
    path = Path(path)
    return _load_python(path, workloads) if path.suffix == ".py" else _load_yaml(path, workloads)


def load_gateway(
    gateway: Gateway,
    directory: str | Path = ".",
    shown: str = "gateway",
    workloads: Workloads | None = None,
) -> Loaded:
    """Takes a configuration built in Python; paths in it are relative to `directory`."""
    directory = Path(directory)
    places = Places(None, shown, directory)
    errors: list[ConfigError] = []
    for key in ("include", "base"):
        if getattr(gateway, key):
            message = f"a configuration in Python imports its parts; remove `{key}`"
            errors.append(places.error((key,), "include_in_python", message))
    material, found = resolve(gateway, places, workloads)
    return Loaded(directory / shown, gateway, places, material, {}, errors + found, tuple(material.watched))


def _load_python(path: Path, workloads: Workloads | None) -> Loaded:
    shown = str(path)
    places = Places(None, shown, path.parent)
    if not path.is_file():
        raise ConfigurationError([ConfigError(shown, 0, 0, "", "the file does not exist", "file_missing")])
    try:
        found = runpy.run_path(str(path), run_name="yett_gateway").get("gateway")
    except ValidationError as error:
        raise ConfigurationError(translate(error, Gateway, places)) from None
    except SyntaxError as error:
        raise ConfigurationError(
            [
                ConfigError(
                    shown,
                    error.lineno or 1,
                    error.offset or 1,
                    "",
                    f"not valid Python: {error.msg}",
                    "python_invalid",
                )
            ]
        ) from None
    except Exception as error:
        line = _line_of(error, shown)
        message = (
            f"the file stopped with an error of type `{type(error).__name__}`; run it with Python to see more"
        )
        raise ConfigurationError(
            [ConfigError(shown, line, 1 if line else 0, "", message, "python_invalid")]
        ) from error
    if not isinstance(found, Gateway):
        message = "the file defines no `gateway`; write `gateway = yett.Gateway(…)`"
        raise ConfigurationError([ConfigError(shown, 0, 0, "", message, "python_invalid")])
    loaded = load_gateway(found, path.parent, shown, workloads)
    loaded.path = path
    loaded.watched = (path, *loaded.watched)
    return loaded


def _line_of(error: BaseException, shown: str) -> int:
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == shown:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _load_yaml(path: Path, workloads: Workloads | None) -> Loaded:
    errors: list[ConfigError] = []
    main = _read(path, str(path), errors)
    if main is None:
        raise ConfigurationError(errors)
    places = Places(main, str(path), path.parent)
    if not isinstance(main.value, dict):
        message = (
            "the file is empty" if main.value is None else "a mapping is needed here, such as `version: 1`"
        )
        raise ConfigurationError(
            [places.error((), "file_empty", f"{message}; `yett init` writes one to start from")]
        )
    tree, owners, watched = _merged(main, places, errors)
    if "version" not in main.value:
        errors.append(places.error((), "key_missing", "`version` is missing; write `version: 1` first"))
    gateway, dropped = _validate(tree, places, errors)
    if gateway is None:
        raise ConfigurationError(errors)
    material, found = resolve(gateway, places, workloads)
    return Loaded(
        path, gateway, places, material, owners, errors + found, (path, *watched, *material.watched), dropped
    )


def _merged(
    main: Source, places: Places, errors: list[ConfigError]
) -> tuple[dict[str, Any], dict[Location, str], list[Path]]:
    """The file with what it includes; an overlay with the base that it lies over."""
    named = overlay.base_of(main)
    if named is None:
        tree = dict(main.value)
        return tree, *_include(tree, main, places, errors)
    base = _read(named, str(named), errors)
    if base is None or not isinstance(base.value, dict):
        message = f"the base, `{named}`, is not a configuration"
        errors.append(places.error(("base",), "base_unreadable", message))
        raise ConfigurationError(errors)
    places.below = base
    overlay.check(main, base, places, errors)
    tree = dict(base.value)
    owners, watched = _include(tree, base, places, errors)
    return overlay.laid_over(tree, main.value), owners, [named, *watched]


def tree_of(path: Path) -> dict[str, Any] | None:
    """What a file says with its includes and its base, not validated; nothing where it cannot be read."""
    errors: list[ConfigError] = []
    main = _read(path, str(path), errors)
    if main is None or not isinstance(main.value, dict):
        return None
    try:
        return _merged(main, Places(main, str(path), path.parent), errors)[0]
    except ConfigurationError:
        return None


def _read(path: Path, shown: str, errors: list[ConfigError]) -> Source | None:
    try:
        source = parse(path.read_bytes(), path, shown)
    except Unreadable as unreadable:
        errors.append(unreadable.error)
        return None
    except OSError as error:
        why = (
            "does not exist"
            if isinstance(error, FileNotFoundError)
            else f"cannot be read ({(error.strerror or 'error').lower()})"
        )
        errors.append(ConfigError(shown, 0, 0, "", f"the file {why}", "file_missing"))
        return None
    places = Places(source, shown, path.parent)
    for location in find_nulls(source):
        message = _nothing(location[-1])
        errors.append(places.error(location, "value_missing", message, isinstance(location[-1], str)))
    return source


def _nothing(key: str | int) -> str:
    """What to say of a key without a value. YAML takes `{scopes:read}` for one key."""
    if isinstance(key, str) and ":" in key and "://" not in key and not key.startswith("/"):
        before, _, after = key.partition(":")
        if before and after:
            return f"`{key}` is one key without a value; write a space after the colon: `{before}: {after}`"
    return "nothing is written here; give a value, or remove the key"


def _validate(
    tree: dict[str, Any], places: Places, errors: list[ConfigError]
) -> tuple[Gateway | None, frozenset[Location]]:
    """The model. Where named entries are wrong, those are left out, so that faults of the others are found as well."""
    try:
        return Gateway.model_validate(tree), frozenset()
    except ValidationError as error:
        empty = [item.where for item in errors if item.code == "value_missing"]
        known = {(item.file, item.line, item.column) for item in errors if item.code == "value_missing"}
        for item in translate(error, Gateway, places):
            below = any(item.where == where or item.where.startswith(f"{where}.") for where in empty)
            if not below and (item.file, item.line, item.column) not in known:
                errors.append(item)
        return _without(tree, {tuple(item["loc"][:2]) for item in error.errors()})


def _without(tree: dict[str, Any], wrong: set[Location]) -> tuple[Gateway | None, frozenset[Location]]:
    """The model of what is left without the parts that are wrong."""
    left = dict(tree)
    dropped: set[Location] = set()
    for location in wrong:
        section = location[0]
        entries = left.get(str(section))
        if section in {*SHARED, "listeners"} and len(location) == 2 and isinstance(entries, dict):
            left[str(section)] = {name: item for name, item in entries.items() if name != location[1]}
            dropped.add(location)
        else:
            left.pop(str(section), None)
            dropped.add((section, "*"))
    for section in ("listeners", "routes"):
        left.setdefault(section, {})
    try:
        return Gateway.model_validate(left), frozenset(dropped)
    except ValidationError:
        return None, frozenset()


def _include(
    tree: dict[str, Any], main: Source, places: Places, errors: list[ConfigError]
) -> tuple[dict[Location, str], list[Path]]:
    owners: dict[Location, str] = {}
    _own(tree, tree.get("owner"), owners)
    patterns = tree.get("include", [])
    patterns = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        return owners, []
    watched: list[Path] = []
    for index, pattern in enumerate(patterns):
        at: Location = ("include", index) if isinstance(tree.get("include"), list) else ("include",)
        for path in _matching(
            pattern,
            main,
            places.error(
                at, "include_missing", f"`{pattern}` matches no file; paths are relative to this file"
            ),
            errors,
        ):
            if path in watched:
                continue
            watched.append(path)
            if len(watched) > MAX_FILES:
                errors.append(
                    places.error(at, "include_too_many", f"more than {MAX_FILES} files are included")
                )
                return owners, watched
            source = _read(path, str(path), errors)
            if source is not None:
                _merge(tree, source, places, owners, errors)
    return owners, watched


def _matching(pattern: str, main: Source, missing: ConfigError, errors: list[ConfigError]) -> list[Path]:
    directory = main.path.parent
    if Path(pattern).is_absolute() or any(c in pattern for c in "*?["):
        base = Path(Path(pattern).anchor) if Path(pattern).is_absolute() else directory
        found = sorted(
            base.glob(
                str(Path(pattern).relative_to(Path(pattern).anchor))
                if Path(pattern).is_absolute()
                else pattern
            )
        )
    else:
        found = [directory / pattern]
    files = [path for path in found if path.is_file() and path.resolve() != main.path.resolve()]
    if not files:
        errors.append(missing)
    return files


def _merge(
    tree: dict[str, Any],
    source: Source,
    places: Places,
    owners: dict[Location, str],
    errors: list[ConfigError],
) -> None:
    here = Places(source, source.shown, source.path.parent)
    part = source.value
    if part is None:
        return
    if not isinstance(part, dict):
        errors.append(here.error((), "type_wrong", "a mapping is needed here, such as `routes: {…}`"))
        return
    for key, value in part.items():
        if key in {"version", "owner"}:
            if key == "version" and value != 1:
                errors.append(here.error((key,), "value_unknown", f"`{value}` is not known here; write `1`"))
            continue
        if key not in SHARED:
            if key in Gateway.model_fields:
                errors.append(
                    here.error(
                        (key,), "include_key", f"`{key}` belongs in the main file, {places.shown}", True
                    )
                )
            else:
                from yett.config.base import nearest

                hint = nearest(key, Part.model_fields) or "; known here: " + ", ".join(
                    f"`{name}`" for name in Part.model_fields
                )
                errors.append(here.error((key,), "key_unknown", f"unknown key `{key}`{hint}", True))
            continue
        if not isinstance(value, dict):
            errors.append(here.error((key,), "type_wrong", "a mapping is needed here, such as `{name: …}`"))
            continue
        merged = dict(tree.get(key) or {}) if isinstance(tree.get(key) or {}, dict) else {}
        for name, item in value.items():
            if name in merged:
                other = places.shown_at((key, name))
                errors.append(
                    here.error(
                        (key, name),
                        "include_duplicate",
                        f"`{name}` is defined twice, also at {other}; rename one",
                        True,
                    )
                )
                continue
            merged[name] = item
            places.parts[(key, name)] = source
            if isinstance(part.get("owner"), str):
                owners[(key, name)] = part["owner"]
        tree[key] = merged


def _own(tree: dict[str, Any], owner: Any, owners: dict[Location, str]) -> None:
    if isinstance(owner, str):
        for key in SHARED:
            entries = tree.get(key)
            if isinstance(entries, dict):
                owners.update({(key, name): owner for name in entries})
