import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.release.server import BentoServer


def test_a_bento_that_does_not_start_is_an_error_that_says_what_it_said() -> None:
    server = BentoServer("no-such-bento:v1", "sqlite:///nowhere.db", start_timeout_seconds=60)

    with pytest.raises(ProjectError, match=r"(?s)no-such-bento:v1 did not get ready.*it said:\n\S"):
        server.__enter__()
