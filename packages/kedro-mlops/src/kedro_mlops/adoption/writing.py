"""The files that an owner would have written, as text."""

from datetime import date, timedelta
from functools import cache
from textwrap import indent
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from .contract_text import contracts_of, delivered, is_nameless
from .decisions import Adoption
from .learning import modelling_for
from .python_text import call, identifier, literal, mapping, plain
from .yaml_text import block, inline, key

OF_REPLAYS = "parameters_replay.yml"
CONF = (
    "catalog_data_engineering.yml", "parameters.yml", "parameters_behaviour.yml",
    "parameters_data_engineering.yml", "parameters_documentation.yml", "parameters_gate.yml",
    "parameters_modelling.yml", "parameters_monitoring.yml", OF_REPLAYS,
)  # fmt: skip
ENGINEERING = "pipelines/data_engineering"
BESIDE = {
    "conf/sample/globals.yml": "sample_globals.yml",
    "conf/sample/parameters.yml": "sample_parameters.yml",
    "tests/test_contracts.py": "test_contracts.py",
    "tests/test_loop.py": "test_loop.py",
}
MAX_FORBIDDEN = 3
# `admit` has an argument `screening`, and monitoring an entry `labelled_predictions`
TAKEN = ("predictions", "screening")
DRIFT_BINS, ROOM_FOR_CHANCE = 10, 3


def table_name(name: str) -> str:
    """What a table is called in the project: as its source, as far as that is free."""
    word = identifier(name, "table")
    return f"{word}_table" if word in TAKEN else word


def files_of(
    adoption: Adoption, package: str, entry: dict[str, Any], today: date, *, replayed: bool = True
) -> dict[str, str]:
    """Every file of the owner's that is about the table, by its path in the project.

    Args:
        adoption: What was decided.
        package: The name of the owner's package.
        entry: The catalog entry of the raw table.
        today: The day on which it is written.
        replayed: Whether the project has replays.
    """
    told = _told(adoption, package, entry, today)
    house = f"src/{package}"
    engineering = f"{house}/{ENGINEERING}"
    conf = [name for name in CONF if replayed or name != OF_REPLAYS]
    written = {f"conf/base/{name}": _render(name, told) for name in conf}
    return written | {
        **{path: _render(template, told) for path, template in BESIDE.items()},
        f"{house}/contracts.py": contracts_of(adoption),
        f"{engineering}/__init__.py": _render("__init__.py", told),
        f"{engineering}/nodes.py": _render("nodes.py", told),
        f"{engineering}/pipeline.py": _render("pipeline.py", told),
    }


def _told(adoption: Adoption, package: str, entry: dict[str, Any], today: date) -> dict[str, Any]:
    """What templates are filled with."""
    days, n_rows = adoption.days, adoption.n_rows
    nameless = is_nameless(adoption)
    imported = sorted({delivered(adoption), "Observation"} | ({"Known"} if nameless else set()))
    label, n_classes = literal(adoption.label.name), len(adoption.label.classes)
    modelling = modelling_for(adoption.label.task, n_rows, len(adoption.features), n_classes)
    return {
        "as_of": adoption.as_of,
        "assigned": nameless,
        "behaviour": adoption.behaviour,
        "classes": adoption.label.classes,
        "days": days,
        "delivered": delivered(adoption),
        "entry": indent(block(entry), "  ").rstrip(),
        "forbidden": _forbidden(adoption),
        "imported": ", ".join(imported),
        "label": label,
        "loss_increase": adoption.loss_increase,
        "max_single_feature_auc": _most_by_one(adoption),
        "metric": adoption.label.asked.listed[0],
        "modelling": modelling,
        "min_labelled_rows": max(30, min(1000, n_rows // 50)),
        "min_slice_rows": max(30, min(500, n_rows // 100)),
        "n_rows": f"{n_rows:,}",
        "package": package,
        "priced": adoption.label.asked.priced,
        "psi_floor": _psi_floor(adoption, modelling),
        "rate": adoption.label.asked.rates[0],
        "row_id": call("row_id = row_ids", ["rows", "Columns.of(Known).names", label]),
        "source": plain(adoption.source),
        "table": adoption.table,
        "target": plain(adoption.label.name),
        "time": literal(adoption.time),
        "today": today.isoformat(),
        **_replayed(adoption),
    }


def _forbidden(adoption: Adoption) -> str:
    """A value that each of some columns may not have, as Python."""
    found: dict[str, Any] = {}
    for column in adoption.columns:
        if "source_name" in column.options:
            continue
        if "isin" in column.options:
            found[column.name] = "no such value" if column.type == "str" else -1
        elif "le" in column.options:
            found[column.name] = column.options["le"] * 10
        elif "ge" in column.options:
            found[column.name] = column.options["ge"] - 1
    return mapping([*found.items()][:MAX_FORBIDDEN])


def _psi_floor(adoption: Adoption, modelling: dict[str, Any]) -> float:
    """What the population stability index of few rows does not reach by chance.

    Of bins of as many rows it is, of two samples that are alike, about the number of bins less one
    by the rows of the smaller one; features are many, so it is given room.
    """
    n_watched = max(1, adoption.n_rows * modelling["later_share"])
    by_chance = ROOM_FOR_CHANCE * (DRIFT_BINS - 1) / n_watched
    return max(0.2, round(float(by_chance), 2))


def _most_by_one(adoption: Adoption) -> float:
    """What a single feature may tell, where those that give the label away are left out."""
    if adoption.label.is_one_of_several or adoption.strongest > 0.8:
        return 1
    return 0.99


def _replayed(adoption: Adoption) -> dict[str, str]:
    """The days that a replay lives, in six ticks or so."""
    if adoption.days is None:
        start = date.fromisoformat(adoption.as_of)
        return {"replay_start": f"{start}", "replay_end": f"{start + timedelta(days=7)}",
                "replay_every": "7D"}  # fmt: skip
    end = date.fromisoformat(adoption.days.last) + timedelta(days=1)
    start = date.fromisoformat(adoption.days.replayed)
    every = max((end - start).days // 6, 1)
    return {"replay_start": f"{start}", "replay_end": f"{end}", "replay_every": f"{every}D"}


def _render(name: str, told: dict[str, Any]) -> str:
    return _templates().get_template(f"{name}.j2").render(told)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("kedro_mlops.adoption"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Python and YAML
    )
    environment.filters |= {"yaml": inline, "key": key}
    return environment
