"""How a release comes from the store that its champion is on."""

from types import SimpleNamespace

import pytest

from kedro_mlops.champion.releases import bring_release, release_problem
from kedro_mlops.core.storage import place


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_one_that_is_damaged_there_is_told_and_missing_here(
    bucket, tmp_path, monkeypatch, caplog, content
):
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    kept = place(f"{bucket}/06_models/bentos/parcels-v1.bento")
    kept.write_bytes(content)
    metadata = SimpleNamespace(release="parcels:v1", release_sha256=None)
    folder = place(f"{bucket}/06_models/champion/2013-02-01T00.00.00.000Z/champion")

    bring_release(SimpleNamespace(metadata=metadata, folder=folder))

    assert f"{kept} is damaged" in caplog.text
    assert "bento.yaml is missing" in release_problem(metadata)
