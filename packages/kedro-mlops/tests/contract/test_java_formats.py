import pytest

from kedro_mlops.contract.java_formats import java_format
from kedro_mlops.core.errors import ProjectError


@pytest.mark.parametrize(
    ("form", "in_java"),
    [
        ("%Y-%m-%d", "y'-'M'-'d"),
        ("%Y%m%d %H:%M", "yyyyMMdd' 'H':'m"),
        ("%d %b %Y, %I o'clock %p", "d' 'MMM' 'y', 'h' o''clock 'a"),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "y'-'M'-'d'T'H':'m':'s'.'SSSSSS[xxx][xx][x]"),
    ],
)
def test_a_format_is_said_in_the_words_of_java(form, in_java):
    assert java_format(form) == in_java


@pytest.mark.parametrize("form", ["%A, %d %B %Y", "%d.%m.%y", "%H:%M", "%d.%m."])
def test_what_java_would_read_otherwise_is_refused(form):
    with pytest.raises(ProjectError, match="Spark cannot read moments by"):
        java_format(form)
