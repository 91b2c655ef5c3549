"""What a person may say of a table."""

import pytest
from example.adopted import adopted, churning

from kedro_mlops.core.errors import ProjectError


def test_only_text_is_taken_for_text(tmp_path):
    with pytest.raises(ProjectError, match="--text size: It holds no text, but number"):
        adopted(churning(), tmp_path, "churned", text=("size",))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"drop": ("siz",)}, "--drop siz: There is no such column. Did you mean 'size'"),
        ({"key": ("churned",)}, "--key churned: It is the target"),
        ({"time": "size"}, "--time size: It holds no moments, but number"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, asked, words):
    with pytest.raises(ProjectError, match=words):
        adopted(churning(), tmp_path, "churned", **asked)
