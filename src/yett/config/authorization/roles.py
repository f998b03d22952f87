"""Roles and what they may do: one table for the whole configuration."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from pydantic import model_validator

from yett.config.base import Model, refuse
from yett.config.types import Items, Text


class Role(Model):
    """A role: what it may do, and which roles it includes."""

    permissions: Items = ()
    """What it may do, such as `invoices.read`."""
    includes: Items = ()
    """Roles whose permissions it has as well; whoever has this role has those."""
    description: Text | None = None
    """For people."""

    @model_validator(mode="after")
    def _some(self) -> Role:
        if not self.permissions and not self.includes:
            raise refuse("role_empty", "the role may do nothing; write `permissions` or `includes`")
        return self


class RoleTable:
    """The table with its hierarchy followed. Built once for a configuration."""

    def __init__(self, roles: Mapping[str, Role]) -> None:
        self.roles = roles

    @cached_property
    def _reach(self) -> dict[str, set[str]]:
        """For each role itself and all that it includes."""
        reach: dict[str, set[str]] = {}

        def follow(name: str, way: tuple[str, ...]) -> set[str]:
            if name in reach or name in way or name not in self.roles:
                return reach.get(name, {name})
            found = {name}
            for below in self.roles[name].includes:
                found |= follow(below, (*way, name))
            if not way:
                reach[name] = found
            return found

        for name in self.roles:
            follow(name, ())
        return reach

    @cached_property
    def permissions(self) -> set[str]:
        """Every permission that a role brings."""
        return {permission for role in self.roles.values() for permission in role.permissions}

    def cycle(self, name: str) -> str | None:
        """A role that `name` includes and that includes `name`, or nothing."""
        for below in self._reach.get(name, set()) - {name}:
            if name in self._reach.get(below, set()):
                return below
        return name if name in self.roles and name in self.roles[name].includes else None

    def holders(self, role: str) -> list[str]:
        """The role and those that include it."""
        return sorted({role, *(name for name, reach in self._reach.items() if role in reach)})

    def granting(self, permission: str) -> list[str]:
        """The roles that bring a permission, themselves or by what they include."""
        direct = {name for name, role in self.roles.items() if permission in role.permissions}
        return sorted(name for name, reach in self._reach.items() if reach & direct)
