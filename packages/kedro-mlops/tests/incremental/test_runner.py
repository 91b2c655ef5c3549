"""Runs of what has changed, of a small pipeline in a package of its own."""

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pandas as pd
import pluggy
import pytest
from kedro.framework import project as kedro_project
from kedro.framework.hooks import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner, ThreadRunner
from pydantic import BaseModel

from kedro_mlops.framework.config_loader import ProjectConfigLoader
from kedro_mlops.incremental import fingerprints
from kedro_mlops.incremental import runner as running
from kedro_mlops.incremental.code_index import CodeIndex, UnknownError, code_index
from kedro_mlops.incremental.recorder import Recorder
from kedro_mlops.incremental.records import FILE, Records
from kedro_mlops.incremental.shortcut import unchanged_since

NODES = """
from kedro.pipeline import Node, Pipeline

CALLS = []


def clean(raw):
    CALLS.append("clean")
    return [row for row in raw if row > 0]


def total(rows, factor):
    CALLS.append("total")
    return sum(rows) * factor


def count(rows):
    CALLS.append("count")
    return len(rows)


def judge(candidate, incumbent):
    CALLS.append("judge")
    return max(candidate, incumbent or 0)


def report(champion, number):
    CALLS.append("report")
    if number > 100:
        raise ValueError("too many")
    return {"champion": champion, "number": number}


def create_pipeline():
    return Pipeline(
        [
            Node(clean, "raw", "rows", name="clean"),
            Node(total, ["rows", "params:factor"], "candidate", name="total"),
            Node(count, "rows", "number", name="count"),
            Node(judge, ["candidate", "incumbent"], "champion", name="judge"),
            Node(report, ["champion", "number"], "report", name="report"),
        ]
    )
"""


@dataclass
class Shop:
    """A project: its folder, and how it is run."""

    folder: Path
    run: Callable[..., list[str]]

    def write(self, name: str, value: Any) -> None:
        (self.folder / f"{name}.json").write_text(json.dumps(value))

    def read(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.json").read_text())

    def edit(self, before: str, after: str) -> None:
        file = self.folder / "shop/nodes.py"
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").touch()
    (tmp_path / "shop/nodes.py").write_text(NODES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(kedro_project, "PACKAGE_NAME", "shop")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(factor: Any = 2, only: list[str] | None = None, **entries: Any) -> list[str]:
        """Run what has changed as a process of its own would; say which nodes ran."""
        for module in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
            del sys.modules[module]
        importlib.invalidate_caches()
        code_index.cache_clear()
        nodes = importlib.import_module("shop.nodes")
        pipeline = nodes.create_pipeline()
        pipeline = pipeline.only_nodes(*only) if only else pipeline
        json_file = {"type": "json.JSONDataset"}
        catalog = DataCatalog.from_config(
            {
                name: {**json_file, "filepath": str(tmp_path / f"{name}.json")}
                for name in ("raw", "candidate", "champion", "report")
            }
            | {
                "incumbent": {
                    "type": "kedro_mlops.core.datasets.OptionalDataset",
                    "dataset": {**json_file, "filepath": str(tmp_path / "champion.json")},
                },
            }
            | entries
        )
        catalog["params:factor"] = MemoryDataset(factor)
        recorder = Recorder()
        recorder._data = tmp_path
        monkeypatch.setattr(running, "recorder", recorder)
        hooks = _create_hook_manager()
        hooks.register(recorder)
        _walk(hooks, pipeline, catalog)
        calls: list[str] = nodes.CALLS
        return calls

    shop = Shop(tmp_path, run)
    shop.write("raw", [1, 2, -3])
    yield shop
    code_index.cache_clear()


def _walk(hooks: pluggy.PluginManager, pipeline: Any, catalog: DataCatalog) -> None:
    """As a session of Kedro's does."""
    given = {"run_params": {}, "pipeline": pipeline, "catalog": catalog}
    hooks.hook.before_pipeline_run(**given)
    try:
        result = running.ChangedRunner().run(pipeline, catalog, hooks)
    except Exception as error:
        hooks.hook.on_pipeline_error(error=error, **given)
        raise
    hooks.hook.after_pipeline_run(run_result=result, **given)


ALL = ["clean", "count", "total", "judge", "report"]


def test_at_first_all_runs_and_then_nothing(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    first = shop.run()
    capsys.readouterr()
    second = shop.run()

    assert sorted(first) == sorted(ALL)
    assert second == []
    assert shop.read("report") == {"champion": 6, "number": 2}
    assert "Skipped 5 of 5 nodes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "after", "ran"),
    [
        # so do the total and the count make what they made before
        ("row > 0", "row >= 1", ["clean", "count", "total", "report"]),
        # what it makes is in memory, and needs the rows, which are too
        ("return len(rows)", "return len(rows) * 1", ["clean", "count", "report"]),
        # what it makes is as it was
        ("sum(rows) * factor", "factor * sum(rows)", ["clean", "total"]),
        ("max(candidate, incumbent or 0)", "max(candidate, incumbent or 9)", ["judge"]),
        ("too many", "far too many", ["clean", "count", "report"]),
        ("return len(rows)", "return len(rows)  # of them", []),
        ("def count(", 'def unused():\n    return 1\n\n\ndef count(', []),
    ],
)  # fmt: skip
def test_code_that_changed_runs_and_what_depends_on_what_it_made(
    shop: Shop, before: str, after: str, ran: list[str]
) -> None:
    shop.run()

    shop.edit(before, after)

    assert sorted(shop.run()) == sorted(ran)
    assert shop.run() == []


def test_a_parameter_and_an_input_count_by_what_they_hold(shop: Shop) -> None:
    shop.run()

    as_before, other = shop.run(factor=2), shop.run(factor=5)
    shop.write("raw", [1, 2, -3])  # another time, the same content
    written_again = shop.run(factor=5)
    shop.write("raw", [1, 2, 3])

    assert (as_before, written_again) == ([], [])
    assert sorted(other) == ["clean", "count", "judge", "report", "total"]
    assert sorted(shop.run(factor=5)) == sorted(ALL)
    assert shop.read("report") == {"champion": 30, "number": 3}


@pytest.mark.parametrize("lose", [Path.unlink, lambda file: file.write_text("0")])
def test_what_was_made_is_made_again_where_it_is_gone_or_edited(
    shop: Shop, lose: Callable[[Path], Any]
) -> None:
    shop.run()

    lose(shop.folder / "candidate.json")

    assert sorted(shop.run()) == ["clean", "total"]
    assert shop.read("candidate") == 6


def test_what_another_has_left_in_the_place_of_a_result_is_noticed(shop: Shop) -> None:
    shop.run()
    shop.write("champion", 50)  # as a rollback would

    ran = shop.run()

    assert sorted(ran) == ["clean", "count", "judge", "report"]
    assert shop.read("report")["champion"] == 50
    assert shop.run() == []


def test_after_an_error_what_ran_before_is_not_run_again(shop: Shop) -> None:
    shop.write("champion", 0)
    shop.write("raw", [1] * 101)
    with pytest.raises(ValueError, match="too many"):
        shop.run()

    shop.edit("number > 100", "number > 1000")

    # the champion is not the one that the judge has seen, and no run ended with it
    assert sorted(shop.run()) == ["clean", "count", "judge", "report"]
    assert shop.run() == []


def test_a_part_of_a_pipeline_leaves_the_rest_to_be_run(shop: Shop) -> None:
    shop.run()
    shop.write("raw", [4])

    part = shop.run(only=["clean", "total"])

    assert sorted(part) == ["clean", "total"]
    assert sorted(shop.run()) == ["clean", "count", "judge", "report"]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all files had changed long before they are hashed, so that their hashes are kept."""
    monkeypatch.setattr(fingerprints, "SETTLED_NS", -(10**12))


@pytest.mark.usefixtures("settled")
def test_a_file_that_was_given_the_time_of_the_one_before_is_another_one(shop: Shop) -> None:
    raw = shop.folder / "raw.json"
    os.utime(raw, (0, 0))
    shop.run()

    raw.write_text(raw.read_text().replace("2", "7"))
    os.utime(raw, (0, 0))  # as an archive that knows no times would

    assert sorted(shop.run()) == sorted(ALL)


@pytest.mark.usefixtures("settled")
def test_the_record_forgets_files_that_are_gone(shop: Shop) -> None:
    raw = shop.folder / "raw.json"
    shop.run()
    known = (shop.folder / FILE).read_text()
    raw.rename(raw.with_name("elsewhere.json"))
    shop.run(raw={"type": "json.JSONDataset", "filepath": str(raw.with_name("elsewhere.json"))})

    assert str(raw) in known
    assert str(raw) not in (shop.folder / FILE).read_text()


def test_a_record_that_is_damaged_makes_all_run(shop: Shop) -> None:
    shop.run()
    (shop.folder / FILE).write_text("{")

    assert sorted(shop.run()) == sorted(ALL)


@pytest.mark.parametrize("how", ["sql", "filepath"])
def test_what_cannot_be_compared_without_reading_it_is_read(shop: Shop, how: str) -> None:
    database, query = f"sqlite:///{shop.folder}/orders.db", "select row from orders"
    pd.DataFrame({"row": [1, 2]}).to_sql("orders", database, index=False)
    (shop.folder / "orders.sql").write_text(query)
    raw = {
        "type": "pandas.SQLQueryDataset",
        how: query if how == "sql" else str(shop.folder / "orders.sql"),
        "credentials": {"con": database},
    }
    shop.edit("for row in raw", "for row in raw.row.tolist()")
    shop.run(raw=raw)

    assert sorted(shop.run(raw=raw)) == ["clean", "count", "report", "total"]


def test_a_path_with_brackets_is_what_it_says_if_that_is_there(shop: Shop) -> None:
    raw = {"type": "json.JSONDataset", "filepath": str(shop.folder / "raw[1].json")}
    shop.write("raw[1]", [1, 2])
    shop.write("raw1", [9])
    shop.run(raw=raw)
    assert shop.run(raw=raw) == []

    shop.write("raw[1]", [5])

    assert "clean" in shop.run(raw=raw)


def test_of_many_files_on_a_store_nothing_is_said(bucket: str) -> None:
    fsspec.filesystem("s3").pipe_file(f"{bucket}/raw.json", b"1")
    entry = {"raw": {"type": "json.JSONDataset", "filepath": f"{bucket}/*.json"}}
    now = fingerprints.Fingerprints(
        Pipeline([]), DataCatalog.from_config(entry), CodeIndex({}), Records(), None
    )

    with pytest.raises(UnknownError, match="known only when it is read"):
        now.of_kept("raw")


def test_a_store_that_cannot_be_reached_for_a_comparison_ends_no_run(shop: Shop) -> None:
    (shop.folder / "shop/stores.py").write_text(
        "from kedro_datasets.json import JSONDataset\n\n\n"
        "class Store(JSONDataset):\n"
        "    def fingerprint(self):\n"
        "        raise ConnectionError('no route to the store')\n"
    )
    raw = {"type": "shop.stores.Store", "filepath": str(shop.folder / "raw.json")}

    assert sorted(shop.run(raw=raw)) == sorted(ALL)
    assert sorted(shop.run(raw=raw)) == ["clean", "count", "report", "total"]


def test_what_is_on_a_store_is_compared_by_what_that_tells_apart(shop: Shop, bucket: str) -> None:
    places = {name: f"{bucket}/{name}.json" for name in ("raw", "report")}
    entries = {name: {"type": "json.JSONDataset", "filepath": at} for name, at in places.items()}
    fsspec.filesystem("s3").pipe_file(places["raw"], b"[1, 2]")
    assert sorted(shop.run(**entries)) == sorted(ALL)
    assert shop.run(**entries) == []

    fsspec.filesystem("s3").pipe_file(places["raw"], b"[3]")
    assert sorted(shop.run(**entries)) == ["clean", "count", "report", "total"]
    fsspec.filesystem("s3").rm(places["report"])
    assert "report" in shop.run(**entries)


def test_of_a_pickled_object_what_it_can_do_counts(shop: Shop) -> None:
    (shop.folder / "shop/models.py").write_text(
        "class Sum:\n    def __call__(self, rows):\n        return sum(rows)\n"
    )
    shop.edit("from kedro.pipeline", "from shop.models import Sum\nfrom kedro.pipeline")
    shop.edit("def count(rows)", "def fit(rows):\n    return Sum()\n\n\ndef count(model, rows)")
    shop.edit("return len(rows)", "return model(rows)")
    shop.edit('Node(count, "rows"', 'Node(fit, "rows", "model"), Node(count, ["model", "rows"]')
    pickled = {"type": "pickle.PickleDataset", "filepath": str(shop.folder / "model.pkl")}
    shop.run(model=pickled)
    assert shop.run(model=pickled) == []
    before = (shop.folder / "model.pkl").read_bytes()

    models = shop.folder / "shop/models.py"
    models.write_text(models.read_text().replace("sum(rows)", "sum(rows) + 1"))
    shop.run(model=pickled)

    assert (shop.folder / "model.pkl").read_bytes() == before
    assert shop.read("report")["number"] == 4


def test_of_objects_that_a_dataset_keeps_the_class_counts_that_its_entry_names(shop: Shop) -> None:
    kinds = shop.folder / "shop/kinds.py"
    kinds.write_text(
        "class Model:\n    def __init__(self, n):\n        self.n = n\n\n"
        "    def predict(self, incumbent):\n        return self.n * 2\n"
    )
    (shop.folder / "shop/keep.py").write_text(
        "from kedro_datasets.json import JSONDataset\n\n\nclass Kept(JSONDataset):\n"
        "    def save(self, model):\n        super().save(model.n)\n\n"
        "    def load(self):\n        from importlib import import_module\n\n"
        "        return import_module('shop.' + 'kinds').Model(super().load())\n"
    )
    shop.edit("return sum(rows) * factor", "return KINDS[0](sum(rows))")
    shop.edit("CALLS = []", "from shop.kinds import Model\n\nKINDS = [Model]\nCALLS = []")
    shop.edit("max(candidate, incumbent or 0)", "candidate.predict(incumbent)")
    kept = {
        "type": "shop.keep.Kept",
        "filepath": str(shop.folder / "candidate.json"),
        "metadata": {"kind": "shop.kinds.Model"},
    }
    shop.run(candidate=kept)
    assert shop.run(candidate=kept) == []

    kinds.write_text(kinds.read_text().replace("* 2", "* 3"))
    shop.run(candidate=kept)

    assert shop.read("champion") == 9


def test_a_parameter_is_told_apart_by_its_types_and_its_order(shop: Shop) -> None:
    shop.edit("sum(rows) * factor", "len(str(factor))")
    values = [{"a": 1, "b": 2}, {"b": 2, "a": 1}, {1: 2}, {"1": 2}, 1, True, 1.0, date(2024, 1, 2)]
    shop.run(factor=None)

    assert [value for value in values if "total" not in shop.run(factor=value)] == []
    assert shop.run(factor=values[-1]) == []


class Typed(BaseModel):
    way: str


@dataclass
class Held:
    ways: tuple[str, ...]


WAY = "shop.ways.double"


@pytest.mark.parametrize(
    "factor",
    [
        WAY, {"way": WAY}, [[WAY]], (WAY,), {WAY: 1}, {(WAY, 1): 1}, "shop.ways:double",
        f"one of {WAY}, shop.ways.treble", WAY + " " * 300, Typed(way=WAY), Held((WAY,)),
    ],
)  # fmt: skip
def test_code_that_a_parameter_names_counts(shop: Shop, factor: Any) -> None:
    ways = shop.folder / "shop/ways.py"
    ways.write_text("def double(x):\n    return x * 2\n")
    shop.edit("sum(rows) * factor", "sum(rows)")
    shop.run(factor=factor)

    ways.write_text(ways.read_text().replace("x * 2", "x * 3"))

    assert {"clean", "total"} <= set(shop.run(factor=factor))
    assert shop.run(factor=factor) == []


def test_what_hooks_do_counts(shop: Shop) -> None:
    settings = shop.folder / "shop/settings.py"
    settings.write_text("from shop.hooks import Halve\n\nHOOKS = (Halve(2),)\n")
    hooks = shop.folder / "shop/hooks.py"
    hooks.write_text("class Halve:\n    def __init__(self, by):\n        self.by = by\n")
    shop.run()

    settings.write_text(settings.read_text().replace("2", "3"))
    assert sorted(shop.run()) == sorted(ALL)
    hooks.write_text(hooks.read_text().replace("= by", "= by + 1"))
    assert sorted(shop.run()) == sorted(ALL)
    assert shop.run() == []


@pytest.mark.parametrize("module", ["made_up", "shop.made_up"])
def test_code_without_a_source_that_can_be_found_runs_always(
    shop: Shop, caplog: pytest.LogCaptureFixture, module: str
) -> None:
    shop.edit("def create_pipeline",
        "exec('def judge(candidate, incumbent):\\n    CALLS.append(\"judge\")\\n"
        f"    return candidate', made := {{'__name__': '{module}', 'CALLS': CALLS}})\n"
        "judge = made['judge']\n\n\ndef create_pipeline")  # fmt: skip
    shop.run()

    assert "judge" in shop.run()
    assert f"the source of {module}" in caplog.text


def test_a_draft_beside_the_code_ends_no_run(shop: Shop) -> None:
    (shop.folder / "shop/draft.py").write_text("def half(")
    shop.edit('Node(clean, "raw"', 'Node(look, None, "raw"), Node(clean, "raw"')
    shop.edit("def total", "def look():\n    CALLS.append('look')\n    return [1]\n\n\ndef total")

    assert sorted(shop.run()) == sorted([*ALL, "look"])


ELIFS = "".join(f"    elif a == {n}:\n        return {n}\n" for n in range(300))


@pytest.mark.parametrize(
    ("factor", "draft", "why"),
    [
        ("shop.draft.half", b"def half(", "never closed"),
        ("shop.draft.half", b"\xff", "cannot be read"),
        ("shop.draft.half", b"half = " + b"-" * 100_000 + b"1", "cannot be read"),
        (
            "shop.draft.half",
            f"def half(a):\n    if a:\n        pass\n{ELIFS}".encode(),
            "recursion",
        ),
    ],
)
@pytest.mark.parametrize("runner", [SequentialRunner, running.ChangedRunner])
def test_what_cannot_be_read_of_what_a_node_is_made_of_ends_no_run_and_runs_always(
    shop: Shop, runner: type[SequentialRunner], factor: Any, draft: bytes, why: str,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    (shop.folder / "shop/draft.py").write_bytes(draft)
    shop.edit("sum(rows) * factor", "sum(rows)")
    with monkeypatch.context() as patch:
        patch.setattr(running, "ChangedRunner", runner)
        assert sorted(shop.run(factor)) == sorted(ALL)

    assert "total" in shop.run(factor)
    assert why in caplog.text


def test_a_record_that_cannot_be_kept_is_told_and_ends_no_run(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    (shop.folder / FILE).mkdir()

    assert sorted(shop.run()) == sorted(ALL)
    assert "will not know of this run" in caplog.text


@pytest.mark.usefixtures("settled")
def test_a_file_of_a_name_that_is_no_text_ends_no_run(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    (shop.folder / "tables").mkdir()
    (shop.folder / os.fsdecode(b"tables/\xff.csv")).touch()
    tables = {"type": "partitions.PartitionedDataset", "path": str(shop.folder / "tables")}
    shop.edit("[row for row in raw if row > 0]", "[len(raw), 1]")

    assert sorted(shop.run(raw=tables | {"dataset": "text.TextDataset"})) == sorted(ALL)
    assert "will not know of this run" in caplog.text


def _rewrites(shop: Shop, file: Path, before: str, after: str) -> None:
    """Let the first node of the next run edit a file, as somebody may meanwhile."""
    once = shop.folder / "once"
    once.touch()
    shop.edit("def clean(raw):", f"""
def edit():
    from pathlib import Path

    if Path({str(once)!r}).exists():
        Path({str(once)!r}).unlink()
        file = Path({str(file)!r})
        file.write_text(file.read_text().replace({before!r}, {after!r}))


def clean(raw):
    edit()""")  # fmt: skip


@pytest.mark.parametrize("runner", [SequentialRunner, running.ChangedRunner])
def test_code_that_is_edited_as_a_run_goes_on_has_not_run(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, runner: type[SequentialRunner]
) -> None:
    later = shop.folder / "shop/later.py"
    later.write_text(
        "def times(rows, factor):\n    return sum(rows) * factor\n\n\n"
        "def total(rows, factor):\n    return times(rows, factor)\n"
    )
    shop.edit("    return Pipeline(", "    from shop.later import total\n\n    return Pipeline(")
    _rewrites(shop, later, "sum(rows) * factor", "7")
    with monkeypatch.context() as patch:
        patch.setattr(running, "ChangedRunner", runner)
        shop.run()
    made_by_the_old = shop.read("candidate")

    ran = shop.run()

    assert (made_by_the_old, shop.read("candidate")) == (6, 7)
    assert {"clean", "judge"} <= set(ran)


def test_code_that_is_mended_as_a_run_goes_on_is_not_what_ran(shop: Shop) -> None:
    draft = shop.folder / "shop/draft.py"
    draft.write_text("def half(")
    shop.edit("sum(rows) * factor", "sum(rows)")
    _rewrites(shop, draft, "def half(", "half = 1")

    shop.run("shop.draft.half")

    assert "total" in shop.run("shop.draft.half")
    assert "total" not in shop.run("shop.draft.half")


def test_files_beside_the_code_are_looked_at_again_in_each_run_of_a_process(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = shop.folder / "shop/sums.sql"
    query.write_text("sum")
    shop.run()
    monkeypatch.setattr(code_index, "cache_clear", lambda: None)
    assert shop.run() == []

    query.write_text("total")

    assert sorted(shop.run()) == sorted(ALL)


def test_nodes_that_run_at_once_have_each_its_record(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.edit("CALLS = []", "import time\n\nCALLS = []")
    shop.edit("return len(rows)", "time.sleep(0.2)\n    return len(rows)")
    shop.edit("return sum(rows)", "time.sleep(0.1)\n    return sum(rows)")
    with monkeypatch.context() as patch:
        patch.setattr(running, "ChangedRunner", lambda: ThreadRunner(max_workers=2))
        shop.run()

    assert shop.run() == []


CONF = {
    "parameters.yml": "factor: 2\n",
    "globals.yml": "data: .\n",
    "catalog.yml": """
raw: {type: json.JSONDataset, filepath: raw.json}
candidate: {type: json.JSONDataset, filepath: candidate.json}
champion: {type: json.JSONDataset, filepath: champion.json}
report: {type: json.JSONDataset, filepath: report.json}
incumbent:
  type: kedro_mlops.core.datasets.OptionalDataset
  dataset: {type: json.JSONDataset, filepath: champion.json}
""",
}


@pytest.fixture
def configured(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Makes the contexts of processes of the shop; its runs have one, and are asked for by name."""
    conf = shop.folder / "conf"
    for name, text in CONF.items():
        (conf / "base").mkdir(parents=True, exist_ok=True)
        (conf / "base" / name).write_text(text)
    (conf / "local").mkdir()

    def context() -> Any:
        code_index.cache_clear()
        loader = ProjectConfigLoader(str(conf), base_env="base", default_run_env="local")
        hooks = SimpleNamespace(get_plugins=lambda: ())
        return SimpleNamespace(config_loader=loader, project_path=shop.folder, _hook_manager=hooks)

    class Asked(Recorder):
        def __init__(self) -> None:
            super().__init__()
            self.asked = "all"
            self.after_context_created(context())

    monkeypatch.setattr(sys.modules[__name__], "Recorder", Asked)
    return context


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("conf/base/parameters.yml", "2", "3"),
        ("conf/base/parameters.yml", "factor: 2", "factor: {"),
        ("shop/nodes.py", "sum(rows) * factor", "7"),
    ],
)
def test_what_is_edited_as_a_run_goes_on_is_not_what_has_run(
    shop: Shop, configured: Callable[[], Any], file: str, before: str, after: str
) -> None:
    _rewrites(shop, shop.folder / file, before, after)

    shop.run(2)

    assert shop.read("candidate") == 6
    if "{" not in after:
        assert unchanged_since(configured(), "all") is None


def test_that_nothing_has_changed_is_known_without_a_look_at_the_nodes(
    shop: Shop, configured: Callable[[], Any]
) -> None:
    (shop.folder / "conf/base/parameters.yml").unlink()  # there need be none

    shop.run(2)

    assert unchanged_since(configured(), "all")
    assert unchanged_since(configured(), "other") is None
