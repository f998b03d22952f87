"""The base of all configuration models, and how a validator refuses."""

from __future__ import annotations

from typing import Any, Self, cast

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from yett.config.words import Location, listed, nearest, on_routes

__all__ = ["Location", "Model", "listed", "nearest", "on_routes", "refuse"]


class Model(BaseModel):
    """Strict, frozen, and without unknown keys."""

    # Built with what contains them: most are only ever validated as a part of the whole.
    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True
    )

    @classmethod
    def unsaid(cls) -> Self:
        """What holds where nothing is said: a model whose fields all have defaults.

        As `cls()`, for which the model would be built alone, and later again with what contains it.
        """
        return cast("Self", cls.model_construct())


def refuse(code: str, message: str, at: Location = ()) -> PydanticCustomError:
    """What a validator raises: a stable code, a message for people, and the place below the field."""
    return PydanticCustomError(cast("Any", code), "{message}", {"message": message, "at": at})
