"""What is written for an owner is Python and YAML as they would have written it."""

import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from example.adopted import TODAY, adopted, contracts, written
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from kedro_mlops.adoption.behaviour import Behaviour, Expected
from kedro_mlops.adoption.writing import files_of, table_name
from kedro_mlops.contract.columns import Columns, declared_in
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.core.errors import ProjectError

N = 300
NASTY = '2: a #b\\ "c" \'d\' {e} {{f}} {%g%} %s ${h} \\${i}\n- é—€\u2028\x85\ufeff"'
RANDOM = np.random.default_rng(0)


def table(label="binary", **more):
    size = RANDOM.normal(50, 10, N).round(2)
    labels = {
        "binary": np.where(size + RANDOM.normal(0, 8, N) > 50, "yes", "no"),
        "multiclass": RANDOM.choice(["a rather long class", "another", "a third one"], N),
        "regression": (size * 3 + RANDOM.normal(0, 8, N)).round(1),
    }
    odd = {
        "Sale Price": RANDOM.lognormal(8, 1, N).round(2),
        "größe": RANDOM.choice([f"{c} quite a long category" for c in "abcdefg"], N),
        "class": RANDOM.random(N).round(3),
        'a."b"': RANDOM.integers(0, 9, N),
        NASTY: RANDOM.choice(["${a}: #b", NASTY], N),
        f"a name so long that nobody {'would type it twice, ' * 4}": size,
    }
    return pd.DataFrame({**odd, **more, "outcome": labels[label]})


DATED = {"signed_up_at": pd.date_range("2023-01-01", periods=N, freq="D")}
KEYED = {"customer_id": [f"C-{i:05}" for i in range(N)]}
CASES = {
    "nameless": (table(), {}),
    "keyed": (table(**KEYED), {}),
    "dated": (table(**DATED), {"time": "signed_up_at"}),
    "dated and keyed": (table(**DATED, **KEYED), {"time": "signed_up_at"}),
    "grouped": (table(who=RANDOM.integers(1, 60, N)), {"key": ("who",)}),
    "several": (table("multiclass"), {}),
    "a number": (table("regression"), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_formatted_and_read_as_it_was_meant(case, tmp_path, pytestconfig):
    rows, asked = CASES[case]

    files = written(adopted(rows, tmp_path, "outcome", **asked), "flight_delays")

    for path, text in files.items():
        file = tmp_path / "project" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        assert path.endswith(".py") or yaml.safe_load(text) is not None
    config = pytestconfig.rootpath / "pyproject.toml"
    ruff, folder = Path(sys.executable).with_name("ruff"), tmp_path / "project"
    own = 'lint.isort.known-first-party = ["kedro_mlops"]'
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [ruff, *command, "--no-cache", "--config", config, "--config", own, "."],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES)
def test_contracts_say_what_was_decided(case, tmp_path):
    rows, asked = CASES[case]
    adoption = adopted(rows, tmp_path, "outcome", **asked)

    module = contracts(adoption, tmp_path)

    observation = Columns.of(module.Observation)
    assert observation.label == "outcome"
    assert observation.task.name == adoption.label.task
    assert observation.features == [c.name for c in adoption.features]
    assert observation.keys == [*(adoption.keys or ["row_id"])]
    assert observation.group == adoption.group
    assert observation.has_time == (adoption.time is not None)
    assert set(rows.columns) <= {*observation.names}
    assert Columns.of(module.Prediction).names


@pytest.fixture(scope="module")
def oddly_said(tmp_path_factory):
    """What was decided of a table whose columns and classes have odd names."""
    rows = table("multiclass").rename(columns={"outcome": f"target {NASTY}"})
    rows.iloc[:, -1] = rows.iloc[:, -1].replace("another", f"a {NASTY}")
    adoption = adopted(rows, tmp_path_factory.mktemp("odd"), f"target {NASTY}")
    swap = Expected(f"{NASTY} matters little", NASTY, 0.1)
    add = Expected(f"more {NASTY}", NASTY, 0.1, step=1.0, score=f"a {NASTY}")
    return replace(adoption, behaviour=Behaviour((swap,), (add,)))


@pytest.mark.parametrize(
    "source", ["Sales: Q1.csv", "Export #2.csv", 'a\\b "c".csv', "${x}.csv", f"{NASTY}.csv", '"']
)
def test_whatever_a_table_and_its_columns_are_called_they_are_written_as_that(oddly_said, source):
    entry = {"type": "AType", "filepath": f"data/01_raw/{source}", "credentials": source}

    files = files_of(replace(oddly_said, source=source), "example", entry, TODAY)

    configs = {}
    for path, text in files.items():
        if path.endswith(".py"):
            compile(text, path, "exec")
            assert all(len(line) <= 100 or "# noqa: E501" in line for line in text.splitlines())
        else:
            configs[path.removeprefix("conf/base/")] = OmegaConf.create(text)
    raw = configs["catalog_data_engineering.yml"]["raw_customers"]
    assert {name: raw[name] for name in entry} == entry
    card = configs["parameters_documentation.yml"]["model_card"]
    assert [type(limit) for limit in card.limits] == [str, str]
    assert card.limits[0].endswith("as it was on 2026-11-27, 300 rows.")
    behaviour = OmegaConf.to_container(configs["parameters_behaviour.yml"], resolve=True)[
        "behaviour"
    ]
    assert behaviour["invariance"][0]["swap"] == [NASTY]
    assert behaviour["direction"][0] | {"name": "", "tolerance": 0} == {
        "name": "", "add": {NASTY: 1.0}, "score": f"a {NASTY}", "expect": "not_lower",
        "tolerance": 0,
    }  # fmt: skip
    [costs] = re.findall("^# (costs: .*)", files["conf/base/parameters.yml"], re.MULTILINE)
    assert {*yaml.safe_load(costs)["costs"]["of_classes"]} <= {*oddly_said.label.classes}


def test_rows_without_a_name_are_numbered_in_text_that_stays_small(tmp_path):
    files = written(adopted(table(), tmp_path, "outcome"))

    python = "".join(text for path, text in files.items() if path.startswith("src"))
    assert len(python.splitlines()) < 160
    assert "assigned=True" in python


def test_personal_data_is_said_to_be(tmp_path):
    rows = table(mail=[f"p{i}@example.org" for i in range(N)])

    module = contracts(adopted(rows, tmp_path, "outcome"), tmp_path)

    assert Columns.of(module.Observation).personal == ["mail"]
    assert "mail" not in Columns.of(module.Prediction).features


@pytest.mark.parametrize(
    ("name", "called"),
    [("Our trips", "our_trips"), ("", "table"), ("Predictions", "predictions_table")],
)
def test_a_table_is_called_as_its_file_unless_that_is_taken(name, called):
    assert table_name(name) == called


# any table

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12
)
NAMES = TEXT.filter(lambda name: name.strip() == name and name != "y")
KINDS = st.sampled_from(
    ["number", "count", "normal", "category", "many", "boolean", "moment", "id"]
)


def values(kind, random, n):
    made = {
        "number": lambda: random.lognormal(0, 2, n).round(4),
        "count": lambda: random.poisson(2, n),
        "normal": lambda: random.normal(-3, 50, n).round(3),
        "category": lambda: random.choice(["x", "y y", "z'", 'q"'], n),
        "many": lambda: [f"v{i}" for i in random.integers(0, 400, n)],
        "boolean": lambda: random.choice(["true", "false"], n),
        "moment": lambda: (
            pd.Timestamp(2020, 1, 1) + pd.to_timedelta(random.integers(0, 1e8, n), "s")
        ),
        "id": lambda: random.permutation(n),
    }
    column = pd.Series(made[kind]())
    return column.where(random.random(n) > random.choice([0, 0.05]))


@settings(max_examples=20, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.dictionaries(NAMES, KINDS, min_size=1, max_size=6),
    st.integers(0, 1000),
)  # fmt: skip
def test_of_rows_that_were_not_seen_nearly_all_are_accepted(columns, seed):
    random = np.random.default_rng(seed)
    n = 1000
    rows = pd.DataFrame({name: values(kind, random, n) for name, kind in columns.items()})
    rows["y"] = random.choice(["no", "yes"], n)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        try:
            adoption = adopted(rows.iloc[:800], folder, "y")
        except ProjectError as error:
            assert "none is left" in str(error)
            return
        module = contracts(adoption, folder)
        contract = module.Delivered
        rows.iloc[800:].to_csv(folder / "new.csv", index=False)
        fresh = pd.read_csv(folder / "new.csv", dtype=str, keep_default_na=False)
        assert declared_in(module)
        _, quarantined, account = screen(fresh, contract)

    assert account.share <= 0.01, quarantined.to_pandas()
