"""What the control plane needs of the configuration and of the native module, in one place."""

from __future__ import annotations

import importlib.util
import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from yett.control.placed import problems
from yett.errors import ConfigurationError

if TYPE_CHECKING:
    from yett.config import Compiled
    from yett.config.acme import Ordered
    from yett.config.compile import Given
    from yett.config.spiffe import Workloads


class Gate(Protocol):
    """What looks at a configuration before it serves: everything that speaks against it, as `Refused.problems`.

    Those with `listed` are told and keep nothing from being served. `starting`: there is no old configuration to go on
    with, so what depends on the date does not count.
    """

    def __call__(self, loaded: Loaded, *, starting: bool) -> list[dict[str, Any]]: ...


class Refused(Exception):
    """A configuration does not load or does not apply; `problems` are dicts with `text` and, where known, a place."""

    def __init__(self, problems: list[dict[str, Any]], files: Iterable[Path] = ()) -> None:
        super().__init__("\n".join(problem["text"] for problem in problems))
        self.problems = problems
        self.files = frozenset(files)


@dataclass(frozen=True)
class Loaded:
    """A configuration that passed every check that needs no running gateway."""

    ir: bytes
    secrets: dict[str, bytes]
    revision: str
    files: frozenset[Path]
    weakened: list[str]
    warnings: list[str]
    counts: dict[str, int]
    drain_s: float
    ordered: list[Ordered]
    sockets: frozenset[Path] = frozenset()
    """Of Workload APIs."""
    state_directory: Path | None = None
    tests: tuple[Path, ...] = ()
    compiled: Compiled | None = field(default=None, repr=False)
    """What gates read."""


def compiled_file(file: Path, workloads: Workloads | None = None, given: Given | None = None) -> Compiled:
    """Reads, checks and compiles a configuration file.

    Raises:
        Refused: with everything that is wrong.
    """
    from yett.config import compile_file

    try:
        return compile_file(file, workloads, given)
    except ConfigurationError as error:
        raise Refused([problem(one) for one in error.errors]) from None
    except OSError as error:
        raise Refused([{"text": f"{file}: cannot be read: {error.strerror}"}]) from None


def read(
    file: Path, admin: str | None = None, zone: str | None = None, workloads: Workloads | None = None
) -> Loaded:
    """Reads, checks and compiles a configuration file. `admin` is the address of `--admin`, `zone` the one of `--zone`,
    `workloads` what Workload APIs gave.

    Raises:
        Refused: with everything that is wrong.
    """
    from yett.config.certificates import utc_now
    from yett.config.compile import Given
    from yett.config.spiffe import waiting
    from yett.control.certificates import pending, warnings
    from yett.control.key_pairs import pair_errors

    local = admin is None or _is_local(admin)
    compiled = compiled_file(file, workloads, Given(admin, zone))
    if compiled.ordered and importlib.util.find_spec("acme") is None:
        text = (
            f"{file}: `acme` orders certificates with a package that is not here; `pip install 'yett[acme]'`"
        )
        raise Refused([{"text": text}])
    if compiled.sockets and importlib.util.find_spec("spiffe") is None:
        text = f"{file}: `spiffe` gets certificates with a package that is not here; `pip install 'yett[spiffe]'`"
        raise Refused([{"text": text}])
    unfit = pair_errors(compiled)
    if unfit:
        raise Refused([problem(one) for one in unfit], (file, *(Path(found) for found in compiled.watched)))
    ir = compiled.document
    if not local and ir["admin"]["token"] is None:
        text = f"--admin: `{admin}` can be reached by others; give `admin:` in the file a `token`"
        raise Refused([{"text": text}])
    return Loaded(
        ir=bytes(compiled.ir),
        secrets=dict(compiled.secrets),
        revision=compiled.revision,
        files=frozenset(Path(found) for found in compiled.watched) | {file},
        weakened=[str(line) for line in compiled.weakened],
        warnings=warnings(compiled.certificates, utc_now())
        + pending(compiled.ordered)
        + waiting(compiled.waiting),
        counts={kind: len(ir[kind]) for kind in ("listeners", "providers", "services", "routes")},
        drain_s=ir["process"]["drain_ms"] / 1000,
        ordered=list(compiled.ordered),
        sockets=compiled.sockets,
        state_directory=_directory(ir.get("state")),
        tests=tuple(compiled.tests),
        compiled=compiled,
    )


def _directory(state: dict[str, Any] | None) -> Path | None:
    named = (state or {}).get("directory")
    return Path(named) if named else None


def apply(gateway: Any, loaded: Loaded) -> None:
    """Hands a configuration to the data plane, which takes all of it or nothing.

    Raises:
        Refused: the data plane cannot carry it out, for example because an address is in use.
    """
    from yett import _core

    try:
        gateway.apply(loaded.ir, loaded.secrets)
    except _core.ApplyError as error:
        raise Refused(problems(json.loads(error.args[0]), loaded), loaded.files) from None


def new_gateway(options: bytes) -> Any:
    """A data plane without a configuration.

    Raises:
        Refused: it does not start.
    """
    from yett import _core

    try:
        return _core.Gateway(options)
    except RuntimeError as error:
        raise Refused([{"text": str(error)}]) from None


def schema_text() -> str:
    """The JSON Schema of the configuration, as a file."""
    from yett.config.schema import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


def problem(error: Any) -> dict[str, Any]:
    """A fault of a configuration, as `Refused.problems` has them."""
    return {
        "text": "\n".join([str(error), *(f"  {line}" for line in error.excerpt.splitlines())]),
        "file": str(error.file),
        "line": error.line,
        "column": error.column,
        "message": error.message,
        "code": error.code,
    }


def _is_local(address: str) -> bool:
    """Whether the address of `--admin` is reached from this machine only.

    Raises:
        Refused: it is none.
    """
    host, _, port = address.rpartition(":")
    try:
        number = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        if not port.isdecimal() or int(port) > 65535:
            raise ValueError(port)
    except ValueError:
        text = f"--admin: `{address}` is no address; write for example `127.0.0.1:9901`"
        raise Refused([{"text": text}]) from None
    return number.is_loopback
