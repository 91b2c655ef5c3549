import jinja2
import pytest

from kedro_mlops.reporting.pages import render_page


def test_a_value_that_a_template_lacks_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="tables"):
        render_page("data_dictionary")


def test_values_are_escaped() -> None:
    table = {"name": "T", "description": "<script>", "key": [], "columns": []}

    page = render_page("data_dictionary", tables=[table])

    assert "&lt;script&gt;" in page
    assert "<script>" not in page
