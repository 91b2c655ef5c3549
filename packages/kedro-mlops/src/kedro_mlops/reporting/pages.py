"""HTML pages that are complete in themselves: no network, no other file."""

from functools import cache
from typing import Any

import jinja2

from kedro_mlops.core.wording import metric_name


def render_page(template: str, **values: Any) -> str:
    """Render a template of the ``templates`` folder; a value that it lacks is an error."""
    return _environment().get_template(f"{template}.html.j2").render(values)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kedro_mlops.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["metric_name"] = metric_name
    return environment
