import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.project import run_in_project


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("echo out; echo no room >&2; exit 3", "It failed: `bash` said:\nno room"),
        ("echo no room; exit 3", "It failed: `bash` said:\nno room"),
        ("kill -KILL $$", "It failed: `bash` said nothing, and ended with -9."),
    ],
)
def test_a_tool_that_fails_is_quoted_or_how_it_ended_is_told(does: str, said: str) -> None:
    with pytest.raises(ProjectError) as failed:
        run_in_project(["bash", "-c", does], "It failed")

    assert str(failed.value) == said


def test_what_a_tool_wrote_is_returned() -> None:
    assert run_in_project(["echo", "done"], "It failed") == "done\n"
