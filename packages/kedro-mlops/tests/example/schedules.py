"""A small loop, and what schedulers are told of it."""

from pathlib import Path
from typing import Any

import yaml

from kedro_mlops.orchestration.loop import Loop, retraining, watching
from kedro_mlops.orchestration.plan import Plan

WAITS_FOR = {
    "preparing": (),
    "modelling": ("preparing",),
    "release": ("modelling",),
    "scoring": ("preparing", "release"),
    "monitoring": ("scoring",),
}
LOOP = Loop(
    WAITS_FOR, ("preparing", "scoring", "monitoring"), ("preparing", "modelling", "release")
)


def plan(day: str = "today", image: str | None = "registry.example.org/pipelines:1") -> Plan:
    return Plan(
        name="the-model",
        folder=Path("/home/a person/100%"),
        kedro=Path("/home/a person/100%/.venv/bin/kedro"),
        data="data",
        prediction_log="data/07_model_output/prediction_log",
        own="conf/sample/own",
        image=image,
        retrain=retraining(LOOP, "0 6 * * 1-5", "sample", day),
        watch=watching(LOOP, "*/30 * * * *", "sample"),
    )


def documents(files: dict[str, str]) -> list[dict[str, Any]]:
    return [found for text in files.values() for found in yaml.safe_load_all(text)]
