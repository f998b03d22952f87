"""Giving up root: another user from before the first thread, with nothing to win it back by."""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

PR_SET_NO_NEW_PRIVS = 38

AS_ROOT = "the process runs as root: a fault in it has the whole machine; start it with --user"


class Denied(Exception):
    """The process cannot become that user."""


@dataclass(frozen=True)
class Account:
    """Who the process is to be."""

    uid: int
    gid: int
    groups: tuple[int, ...]

    @property
    def current(self) -> bool:
        """Whether it is this user already."""
        return os.getresuid() == (self.uid,) * 3 and os.getresgid() == (self.gid,) * 3


def account(text: str) -> Account:
    """Of `user` or `user:group`, by names or numbers.

    Raises:
        Denied: there is no such account, it is root, or this process may not become it.
    """
    name, colon, group = text.partition(":")
    try:
        found = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        raise Denied(f"--user: there is no user `{name}`") from None
    try:
        gid = _group(group) if colon else found.pw_gid
    except KeyError:
        raise Denied(f"--user: there is no group `{group}`") from None
    if found.pw_uid == 0 or gid == 0:
        raise Denied(f"--user: `{text}` is root; name a user and a group with no rights of their own")
    # a group that is named stands alone
    groups = (gid,) if colon else tuple(os.getgrouplist(found.pw_name, gid))
    if 0 in groups:
        raise Denied(
            f"--user: `{name}` is in the group of root; name another user, or a group: `{name}:GROUP`"
        )
    wanted = Account(found.pw_uid, gid, groups)
    if not wanted.current and os.geteuid() != 0:
        raise Denied(f"--user: only root may become `{text}`; start as that user instead")
    return wanted


def drop(wanted: Account) -> None:
    """Becomes the account for good. Threads that start later inherit it; earlier ones would not.

    Raises:
        Denied: it did not work to the end; the process must not go on.
    """
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise Denied("--user: a thread runs already; please report this")
    was_root = os.geteuid() == 0
    try:
        if not wanted.current:
            os.setgroups(wanted.groups)
            os.setresgid(wanted.gid, wanted.gid, wanted.gid)
            os.setresuid(wanted.uid, wanted.uid, wanted.uid)
    except OSError as error:
        raise Denied(f"--user: the process cannot give up its rights: {error.strerror}") from None
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise Denied(f"--user: no_new_privs cannot be set: {os.strerror(ctypes.get_errno())}")
    if not wanted.current or _can_be_root() or (was_root and _capabilities()):
        raise Denied("--user: the process could still become root")


def _can_be_root() -> bool:
    try:
        os.setuid(0)
    except PermissionError:
        return False
    return True


def _capabilities() -> int:
    """Permitted and effective ones."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["CapPrm"], 16) | int(fields["CapEff"], 16)


def _group(name: str) -> int:
    return (grp.getgrgid(int(name)) if name.isdecimal() else grp.getgrnam(name)).gr_gid
