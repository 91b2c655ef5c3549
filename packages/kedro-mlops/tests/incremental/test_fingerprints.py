"""What files and the environment are told apart by."""

from pathlib import Path

import pytest

from kedro_mlops.incremental import fingerprints
from kedro_mlops.incremental.fingerprints import FileHashes, environment


def test_a_folder_is_what_links_in_it_lead_to_also_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/part.csv").write_text("1")
    (tmp_path / "table/part").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "table/circle").symlink_to(tmp_path / "table")
    known = FileHashes({}).of(str(tmp_path / "table"))

    (tmp_path / "elsewhere/part.csv").write_text("2")

    assert FileHashes({}).of(str(tmp_path / "table")) != known


def test_a_package_of_the_same_version_that_was_built_anew_is_another_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "folders_of_packages", lambda: [str(tmp_path)])
    about = tmp_path / "tools-1.0.dist-info"
    about.mkdir()
    (about / "direct_url.json").write_text('{"url": "file:///tools", "dir_info": {}}')
    (about / "RECORD").write_text("tools.py,sha256=a,1")
    known = environment.__wrapped__()

    (about / "RECORD").write_text("tools.py,sha256=b,1")

    assert environment.__wrapped__() != known
