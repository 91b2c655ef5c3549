"""What files and the environment are told apart by."""

import sys
from importlib import import_module
from pathlib import Path

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node

from kedro_mlops.incremental import fingerprints
from kedro_mlops.incremental.code_index import CodeIndex
from kedro_mlops.incremental.fingerprints import FileHashes, Fingerprints, environment
from kedro_mlops.incremental.records import Records


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


def test_what_a_plugin_does_that_is_read_from_where_it_is_written_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "local_plugin.py"
    file.write_text("class Hooks:\n    limit = 1\n")
    plugins = [import_module("local_plugin").Hooks()]
    found = node(len, "params:names", "n", name="count")
    catalog = DataCatalog({"params:names": MemoryDataset(["a"])})

    def made_of() -> dict[str, str]:
        given = Pipeline([found]), catalog, CodeIndex({}), Records(), None, plugins
        return Fingerprints(*given).of_node(found)

    known = made_of()
    file.write_text("class Hooks:\n    limit = 2\n")

    assert {name for name, now in made_of().items() if now != known[name]} == {"local_plugin"}


@pytest.mark.parametrize("found", ["sales[1]/*.csv", "sales[1]/part.csv", "**/part.csv"])
def test_a_table_is_what_its_entry_finds_also_by_an_odd_name(tmp_path: Path, found: str) -> None:
    """A folder with brackets in its name is that one, and two stars are folders in folders."""
    file = tmp_path / "all/of/sales[1]/part.csv"
    file.parent.mkdir(parents=True)
    file.write_text("1")
    begin = tmp_path if found.startswith("**") else file.parent.parent
    entry = {"type": "pandas.CSVDataset", "filepath": str(begin / found)}
    catalog = DataCatalog.from_config({"sales": entry})
    given = Pipeline([node(len, "sales", "n", name="count")]), catalog, CodeIndex({}), Records()

    known = Fingerprints(*given, None, []).of_files("sales")
    file.write_text("one more")

    assert Fingerprints(*given, None, []).of_files("sales") != known


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("pipes.py", "from . import checks\n\n\ndef create_pipeline():\n    return NODES\n"),
        ("pipes.py", "def create_pipeline():\n    from shop import checks\n    return checks\n"),
        ("registry.py", "import shop.checks\n\n\ndef register_pipelines():\n    return {}\n"),
        ("settings.py", "from shop import checks\n"),
    ],
)
def test_what_is_done_as_pipelines_are_made_and_settings_read_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, source: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "__init__.py").touch()
    (shop / "rates.py").write_text("RATES = {}\n\n\ndef use(names):\n    return RATES\n")
    (shop / "checks.py").write_text("from shop.rates import RATES\n\nRATES['x'] = 1\n\nA = 1\n")
    (shop / "page.html").touch()
    (shop / file).write_text(source)
    found = node(import_module("shop.rates").use, "params:names", "n", name="use")
    sys.modules.pop("shop.rates")
    catalog = DataCatalog({"params:names": MemoryDataset(["a"])})

    def made_of() -> dict[str, str]:
        given = Pipeline([found]), catalog, CodeIndex({"shop": shop}), Records(), None
        return Fingerprints(*given).of_node(found)

    known = made_of()
    (shop / "checks.py").write_text((shop / "checks.py").read_text().replace("A = 1", "A = 2"))
    (shop / file).write_text(source + "\n\nX = 1\n")
    assert made_of() == known

    (shop / "checks.py").write_text((shop / "checks.py").read_text().replace("= 1", "= 3"))

    assert made_of() != known
