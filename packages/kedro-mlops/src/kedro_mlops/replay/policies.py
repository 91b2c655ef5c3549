"""What each policy does at a tick, and what that was worth."""

from typing import Any

import pandas as pd

from kedro_mlops.core.artefacts import Interval
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.files import new_file
from kedro_mlops.measures.metrics import Bootstrap, Scored, flatten, paired_difference
from kedro_mlops.models.decision import Decision
from kedro_mlops.monitoring.performance import drifted_names

from .nodes import ORACLE, POLICY, TICK
from .world import Tick

NOTHING_DONE = {
    "retrained": False, "promoted": False, "why": "", "gate": "", "decision": "", "reasons": "",
    "n_windows": 0, "n_drifted_windows": 0, "n_drifted_columns": 0, "estimate_error": None,
}  # fmt: skip
NO_GAIN = Interval(value=0, low=0, high=0)

Record = dict[str, Any]


def live_tick(
    tick: Tick,
    policies: dict[str, dict[str, Any]],
    before: dict[str, Record],
    bootstrap: Bootstrap,
    progress: Any,
) -> dict[str, Record]:
    """Live one tick for all policies, and write it down."""
    for step, begin in (("data", tick.receive), ("training", tick.train)):
        progress.set_postfix_str(f"{tick.name}: {step}")
        begin()
        progress.update()
    if tick.without_candidate and not before:
        raise ProjectError(f"There is no first champion to begin with. {tick.without_candidate}")
    records = {}
    judged: dict[str, Decision] = {}
    for policy, overrides in policies.items():
        progress.set_postfix_str(f"{tick.name}: {policy}")
        record = _renew(tick, before.get(policy), judged)
        decision, windows = tick.look(policy, record["champion"], record["last_trained"], overrides)
        loss = tick.world.contract.task.loss
        estimated_off = (windows[f"estimated_{loss}"] - windows[loss]).abs()
        record |= {
            "decision": decision.outcome,
            "reasons": " ".join(decision.reasons),
            "n_windows": len(windows),
            "n_drifted_windows": int(windows["drifted"].sum()),
            "n_drifted_columns": len(drifted_names(windows)),
            "estimate_error": float(estimated_off.mean()),
        }
        records[policy] = _measured(tick, policy, record, bootstrap)
        progress.update()
    oracle = _foresee(tick, before.get(ORACLE), bootstrap)
    records[ORACLE] = _measured(tick, ORACLE, oracle, bootstrap)
    with new_file(tick.folder / "scores" / f"{tick.name}.parquet") as file:
        _scores(tick, records).to_parquet(file, index=False)
    return records


def _renew(tick: Tick, before: Record | None, judged: dict[str, Decision]) -> Record:
    """Who is champion of a policy as the tick begins, after what it decided as the last ended."""
    if before is None:
        return _record(tick, None)
    if before["decision"] != "retrain":
        return _record(tick, before, last_trained=before["last_trained"])
    champion = before["champion"]
    if champion not in judged:
        judged[champion] = tick.judge(champion)
    decision = judged[champion]
    return _record(
        tick,
        before,
        last_trained=before["last_trained"] if tick.without_candidate else tick.name,
        retrained=True,
        promoted=decision.outcome == "promote",
        why=before["reasons"],
        gate=f"{decision.outcome}: {' '.join(decision.reasons)}",
    )


def _foresee(tick: Tick, before: Record | None, bootstrap: Bootstrap) -> Record:
    """The oracle retrains where the coming days will show that it surely paid."""
    if before is None or tick.without_candidate:
        return _record(tick, before)
    if not _gain(tick, before["champion"], tick.name, bootstrap).high < 0:
        return _record(tick, before)
    done = {"retrained": True, "promoted": True, "why": "It will pay.", "gate": "not asked"}
    return _record(tick, before, **done)


def _record(tick: Tick, before: Record | None, **said: Any) -> Record:
    """A tick of a policy: its champion is that of before, unless the candidate was promoted."""
    replaced = before["champion"] if before else None
    champion = tick.name if replaced is None or said.get("promoted") else replaced
    begun = {"champion": champion, "replaced": replaced, "last_trained": champion}
    return {**begun, **NOTHING_DONE, **said}


def _measured(tick: Tick, policy: str, record: Record, bootstrap: Bootstrap) -> Record:
    """The record, with how the champion did, and what the retraining gained."""
    rows = tick.rows(record["champion"])
    scored = Scored.of(tick.world.contract, rows)
    gain = NO_GAIN
    if record["promoted"]:
        gain = _gain(tick, record["replaced"], record["champion"], bootstrap)
    return {
        "tick": tick.name,
        "until": f"{tick.end:%Y-%m-%d}",
        "policy": policy,
        **record,
        "n_rows": len(rows),
        scored.task.loss: float(scored.row_loss.mean()) if len(rows) else None,
        **flatten({"gain": gain}),
        "false_alarm": record["retrained"] and not gain.high < 0,
    }


def _gain(tick: Tick, old: str, new: str, bootstrap: Bootstrap) -> Interval:
    """Difference in loss on the tick, new champion minus old: negative is a gain."""
    rows, other, contract = tick.rows(new), tick.rows(old), tick.world.contract
    if rows.empty:
        return NO_GAIN
    theirs = Scored.of(contract, other).score
    return paired_difference(Scored.of(contract, rows), theirs, bootstrap)


def _scores(tick: Tick, records: dict[str, Record]) -> pd.DataFrame:
    """The labelled rows of the tick, once for each policy."""
    contract = tick.world.contract
    told = [each.name for each in contract.task.output().told]
    kept = [*contract.row_index, contract.label, *told]
    parts = [
        tick.rows(record["champion"])[kept].assign(**{TICK: tick.name, POLICY: policy})
        for policy, record in records.items()
    ]
    return pd.concat(parts, ignore_index=True)
