"""What ACME keeps in the state directory: accounts, certificates, open challenges, failures. Instances may share it.

Every file is replaced as a whole and readable by its owner only; a lock lets one instance order at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yett.config.acme import Ordered

MAX_CHALLENGES = 1000
"""Challenges that are open at once; more are not looked at."""
MAX_FILE = 64 << 10
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,512}", re.ASCII)
_ANSWER = re.compile(r"[A-Za-z0-9_.-]{1,512}", re.ASCII)


@dataclass(frozen=True)
class Account:
    """An account at an authority."""

    key: dict[str, str]
    """JWK of the private key."""
    uri: str

    def __repr__(self) -> str:
        return f"Account(uri={self.uri!r})"


@dataclass(frozen=True)
class Retry:
    """Orders of one certificate that failed, one after the other."""

    names: list[str]
    failures: int
    not_before: float
    """Unix time before which no instance tries again."""


class Store:
    """One state directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        """Makes the directories. Raises `OSError`; `PermissionError` where others than owner and group get in.

        Also where nothing can be written: a certificate that cannot be kept is not ordered.
        """
        for part in ("", "accounts", "certificates", "challenges"):
            folder = self.root / part
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(0, "cannot be written by this user", str(folder))
        if self.root.stat().st_mode & 0o007:
            text = "is open to everyone on this machine, and would hold keys; `chmod 700` it"
            raise PermissionError(0, text, str(self.root))

    @contextlib.contextmanager
    def lock(self) -> Iterator[bool]:
        """Whether this instance may order; false while another one does."""
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def account(self, directory: str) -> Account | None:
        """The account at the authority with this directory."""
        found = _read_json(self._account(directory))
        match found:
            case {"key": dict(key), "uri": str(uri)}:
                return Account(key, uri)
        return None

    def save_account(self, directory: str, account: Account) -> None:
        _replace(self._account(directory), json.dumps(asdict(account)).encode())

    def forget_account(self, directory: str) -> None:
        self._account(directory).unlink(missing_ok=True)

    def save_certificate(self, one: Ordered, key: bytes, chain: str) -> None:
        """Both in one file, so that no one sees a pair that does not match."""
        _replace(one.file, key.strip() + b"\n" + chain.encode())

    def save_ca(self, one: Ordered, pem: str) -> Path:
        """Whom the order's connections trust; the library takes it from a file only."""
        file = one.file.with_suffix(".ca")
        _replace(file, pem.encode())
        return file

    def retry(self, one: Ordered) -> Retry | None:
        """What failed lately, for the names as they are configured now."""
        match _read_json(self._retry(one)):
            case {"names": list(names), "failures": int(failures), "not_before": float(not_before)}:
                if names == sorted(one.acme.domains):
                    return Retry(names, failures, not_before)
        return None

    def save_retry(self, one: Ordered, retry: Retry) -> None:
        _replace(self._retry(one), json.dumps(asdict(retry)).encode())

    def clear_retry(self, one: Ordered) -> None:
        self._retry(one).unlink(missing_ok=True)

    def challenges(self) -> dict[str, str]:
        """Every challenge that is open, whichever instance opened it."""
        found: dict[str, str] = {}
        with contextlib.suppress(OSError):
            for file in sorted((self.root / "challenges").iterdir())[:MAX_CHALLENGES]:
                if not _TOKEN.fullmatch(file.name):
                    continue
                answer = _read(file).decode("ascii", "replace")
                if _ANSWER.fullmatch(answer):
                    found[file.name] = answer
        return found

    @contextlib.contextmanager
    def open_challenges(self, answers: Mapping[str, str]) -> Iterator[None]:
        """Has every instance answer these; under the lock. Those that a crashed instance left go, too."""
        folder = self.root / "challenges"
        self._close_challenges()
        try:
            for token, answer in answers.items():
                if not (_TOKEN.fullmatch(token) and _ANSWER.fullmatch(answer)):
                    raise ValueError("the authority's challenge is not in base64url")
                _replace(folder / token, answer.encode())
            yield
        finally:
            self._close_challenges()

    def _close_challenges(self) -> None:
        for file in (self.root / "challenges").iterdir():
            file.unlink(missing_ok=True)

    def _account(self, directory: str) -> Path:
        return self.root / "accounts" / f"{hashlib.sha256(directory.encode()).hexdigest()[:12]}.json"

    def _retry(self, one: Ordered) -> Path:
        return one.file.with_suffix(".retry")


def _replace(file: Path, data: bytes) -> None:
    """Atomically, and on disk before it has its name; mode 0600 from the beginning."""
    # a leading dot is no character of a token
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as open_file:
            open_file.write(data)
            open_file.flush()
            os.fsync(open_file.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as open_file:
            return open_file.read(MAX_FILE)
    except OSError:
        return b""


def _read_json(file: Path) -> Any:
    try:
        return json.loads(_read(file))
    except ValueError:
        return None
