"""Attacks that are looked for in requests: refused, or reported. A second net behind `request_validation`, never the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from yett.config.base import Model, listed, nearest, refuse
from yett.config.types import Name, Text, any_of
from yett.config.units import Size, size_bytes

if TYPE_CHECKING:
    from yett.config.merge import Policy

CLASSES = (
    "sql", "nosql", "command", "ldap", "xpath", "template", "xss", "xxe", "crlf", "lookup", "deserialisation", "code",
    "traversal", "inclusion", "ssrf", "scanner",
)  # fmt: skip
"""In the order of the data plane."""
PLACES = ("path", "query", "header", "cookie", "form", "body")


def _class(item: str) -> None:
    if item not in CLASSES:
        hint = nearest(item, CLASSES) or f"; write {listed(CLASSES)}"
        raise refuse("class_unknown", f"`{item}` is no class of attacks{hint}")


_SCHEMA = {
    "anyOf": [
        {"enum": list(CLASSES)},
        {
            "type": "object", "required": ["any_of"], "additionalProperties": False,
            "properties": {"any_of": {"type": "array", "items": {"enum": list(CLASSES)}, "minItems": 1}},
        },
    ]
}  # fmt: skip
Classes = Annotated[tuple[str, ...], any_of(_class), WithJsonSchema(_SCHEMA)]


def _pointer(value: str) -> str:
    if value and not value.startswith("/"):
        message = f'`{value}` is no JSON Pointer; write `/{value}`, with `*` for any item, or `""` for a body of text'
        raise refuse("pointer_invalid", message)
    return value


def _size(value: str) -> str:
    if not 1024 <= size_bytes(value) <= 16 << 20:
        raise refuse("out_of_range", f"`{value}` is out of range; write at least `1KiB` and at most `16MiB`")
    return value


class AttackException(Model):
    """A place where some classes of attacks are in order, and why: exactly one of the places."""

    path: Literal[True] | None = None
    """`true`: the path and its segments."""
    query: Text | None = None
    """A parameter of the query, by name."""
    header: Text | None = None
    """A header field, by name."""
    cookie: Text | None = None
    """A cookie, by name."""
    form: Text | None = None
    """A field of a form, by name."""
    body: Annotated[str, AfterValidator(_pointer)] | None = None
    """A value of a JSON body, by JSON Pointer, such as `/items/*/note`; `""` is a body of text or XML."""
    classes: Classes
    """What is in order there: one class, or `{any_of: […]}`."""
    reason: Text
    """Why, in one line."""

    @model_validator(mode="after")
    def _one(self) -> AttackException:
        if len(self._places()) != 1:
            said = listed(self._places()) if self._places() else "none"
            raise refuse(
                "place_count",
                f"an exception is for one place, and there is {said}; write one of {listed(PLACES)}",
            )
        return self

    def _places(self) -> list[str]:
        return [place for place in PLACES if getattr(self, place) is not None]

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        (place,) = self._places()
        name = getattr(self, place)
        return {
            "in": place,
            **({} if name is True else {"name": name.lower() if place == "header" else name}),
            "classes": ordered(self.classes),
        }


class AttackFilter(Model):
    """What is looked for in each value of a request, and what becomes of it."""

    mode: Literal["enforce", "report"] = "enforce"
    """`enforce`: 403; `report`: it passes, and log and metrics say so."""
    threshold: Annotated[int, Field(ge=1, le=5)] = 5
    """A value of at least this score looks like an attack: 5 is one by its form, less takes hints as well and errs more."""
    classes: Classes = CLASSES
    """What is looked for: one class, or `{any_of: […]}`; all if nothing is said."""
    exceptions: dict[Name, AttackException] = Field(default_factory=dict, max_length=100)
    """Places where some of it is in order, by a name for each."""
    examined: Annotated[Size, AfterValidator(_size)] = "256KiB"
    """How much of all values of a request is looked at."""
    beyond: Literal["refuse", "pass"] = "refuse"
    """What becomes of a request with more, and of one whose body cannot be read: refused, or passed as far as nothing was found."""

    @model_validator(mode="after")
    def _used(self) -> AttackFilter:
        for name, one in self.exceptions.items():
            unused = [item for item in one.classes if item not in self.classes]
            if unused:
                message = f"{listed(unused)} is not looked for here; leave it out, or name it in `classes`"
                raise refuse("exception_unused", message, ("exceptions", name, "classes"))
        return self

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation; sizes in bytes."""
        exceptions = [one.compiled() for _, one in sorted(self.exceptions.items())]
        return {
            "enforce": self.mode == "enforce",
            "threshold": self.threshold,
            "classes": ordered(self.classes),
            **({"exceptions": exceptions} if exceptions else {}),
            "examined": size_bytes(self.examined),
            **({"beyond_passes": True} if self.beyond == "pass" else {}),
        }


def ordered(classes: tuple[str, ...]) -> list[str]:
    """Each once, in the order of the documentation."""
    return [name for name in CLASSES if name in classes]


def only_reported(policies: list[Policy]) -> list[str]:
    """Routes where attacks pass, in sentences."""
    found = []
    for what, weak in (
        ("what looks like an attack is reported, and passes (`attack_filter: {mode: report}`)", lambda one: not one["enforce"]),
        ("more than is looked at for attacks passes (`attack_filter: {beyond: pass}`)", lambda one: one.get("beyond_passes")),
    ):  # fmt: skip
        names = [policy.name for policy in policies if policy.attack_filter and weak(policy.attack_filter)]
        if names:
            found.append(f"{what} on {'route' if len(names) == 1 else 'routes'} {listed(names)}")
    return found
