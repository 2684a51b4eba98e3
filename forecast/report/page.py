"""Templates become pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def page(template: str, context: Mapping[str, Any]) -> str:
    """A self-contained HTML page. Everything a user, a model or a provider may have named is text: it is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("forecast.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(context)
