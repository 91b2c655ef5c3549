import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.serving.settings import Settings


def test_every_setting_is_a_variable_of_the_environment(monkeypatch):
    monkeypatch.setenv("MAX_ROWS", "7")
    monkeypatch.setenv("FEATURE_CACHE_SECONDS", "0.5")
    monkeypatch.setenv("MAX_BODY_MEGABYTES", "0.25")
    monkeypatch.setenv("OPEN_PATHS", "health, docs")
    monkeypatch.setenv("THREADS", "")

    settings = Settings.from_environment()

    assert (settings.max_rows, settings.feature_cache_seconds) == (7, 0.5)
    assert settings.max_body == 250_000
    assert settings.opened == {"health", "docs"}
    assert settings.n_threads >= 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MAX_ROWS", "many", "MAX_ROWS is 'many'"),
        ("MAX_ROWS", "1.5", "MAX_ROWS is '1.5'"),
        ("REQUEST_SECONDS", "soon", "REQUEST_SECONDS is 'soon'"),
        ("OPEN_PATHS", "health,predict", r"OPEN_PATHS has \['predict'\]; it may have health"),
    ],
)
def test_a_setting_that_is_none_is_refused_by_its_name(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)

    with pytest.raises(ProjectError, match=said):
        Settings.from_environment()


def test_the_largest_body_fits_into_the_memory_of_all_requests():
    settings = Settings()

    assert settings.max_body + settings.memory_for(settings.max_body) <= settings.request_memory
    with pytest.raises(ProjectError, match=r"REQUEST_MEGABYTES is 400, and .* takes 670: raise it"):
        Settings(max_body_megabytes=50)
    assert Settings(max_body_megabytes=50, request_megabytes=670).max_body == 50_000_000


@pytest.mark.parametrize("n_features", [1, 20, 500])
def test_what_is_explained_takes_more_memory_and_fits_all_the_same(n_features):
    settings = Settings()

    for n_bytes in (1000, 1_000_000, settings.max_body):
        memory = settings.memory_for(n_bytes, n_features)
        assert settings.memory_for(n_bytes) < memory
        assert settings.max_body + memory <= settings.request_memory


def test_what_is_small_takes_by_its_rows_and_fits_as_well():
    settings = Settings()

    assert settings.memory_for_rows(2, 1) < settings.memory_for_rows(2, 1, explain=True) < 10_000
    assert settings.memory_for_rows(5_000, 600) > settings.memory_for(15_000)
    assert settings.memory_for_rows(10_000, 600, explain=True) == (
        settings.request_memory - settings.max_body
    )
