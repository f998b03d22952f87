"""Another path for the service than the one that was asked for."""

from __future__ import annotations

from yett.config.base import Model
from yett.config.match import PathTemplate


class Rewrite(Model):
    """The path that the service sees."""

    path: PathTemplate
    """A template with the variables of the route's own path: `/v2/orders/{id}`."""
