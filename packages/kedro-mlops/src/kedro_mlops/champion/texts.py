"""What is said of champions."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from kedro_mlops.core.artefacts import is_same
from kedro_mlops.core.wording import interval_text, metric_name, typed
from kedro_mlops.models.decision import GATE, Decision
from kedro_mlops.models.metadata import saved_at
from kedro_mlops.prediction_log.files import Answered
from kedro_mlops.serving.followers import Following

from .explanation import Again
from .history import Saved
from .reproduction import Difference

BEFORE, AFTER = ["since (UTC)", "model", "outcome", "by"], ["commit", "data", "why"]
NOT_KNOWN = "-"
SHORT, REASON = 8, 60
TIME = "%Y-%m-%d %H:%M:%S"
ASK = "`curl -s http://127.0.0.1:3000/info` says what a service answers with"
RESTART = (
    "A service goes on with the model that it was started with, unless that was with `--follow`: "
    f"start it anew, with `make serve` or as deploy/README.md says; {ASK}."
)


def describe(
    current: Saved,
    problem: str | None,
    last: Answered | None,
    followers: Sequence[Following] = (),
) -> str:
    """Describe the champion in full, with why its release cannot serve, if it cannot."""
    metadata = current.metadata
    family = metadata.family.replace("_", " ")
    outcome, by, why = _decided(current)
    names = {name: metric_name(name) for name in metadata.metrics}
    lines = [
        ("Champion", f"{current.version}, {family}, as of {metadata.as_of:%Y-%m-%d}"),
        ("Since", f"{_moment(current)} UTC"),
        ("Decision", f"{outcome} by {by}: {why}"),
        *_whence(current.decision),
        *((name[:1].upper() + name[1:], _measured(current, key)) for key, name in names.items()),
        ("Commit", metadata.lineage.git_commit),
        ("Data", metadata.lineage.data_hash),
        ("Lock file", metadata.lineage.lock_hash),
        ("Withdrawn", ", ".join(metadata.withdrawn)),
        ("Release", problem or f"{metadata.release}, ready to serve"),
        ("Answers", _answering(current, last, followers)),
        *_followed(current, followers),
    ]
    return _table([(title, said) for title, said in lines if title != "Withdrawn" or said])


def _whence(made: Decision | None) -> list[tuple[str, str]]:
    """What a champion of another environment was made one by there, and who has approved it."""
    lines = [("Approved", f"by {made.approved_by}")] if made and made.approved_by else []
    while made and made.source:
        source, made = made.source, made.source.decision
        said = _said(made) if made else "not on record"
        since = f"{saved_at(source.since):{TIME}} UTC"
        lines.append((f"In {source.environment}", f"since {since}: {said}"))
    return lines


def list_candidates(
    saved: Sequence[Saved], verdicts: Mapping[str, str], champion: Saved | None
) -> str:
    """List candidates, newest first, a line each, the champion with a star.

    What the gate has said of them is given by their versions.
    """
    if not saved:
        return "There is no candidate yet. Train one with `make run`."
    serving = champion.version if champion else None
    listed = saved[0].metadata.listed
    rows = [
        [
            _moment(one),
            f"{one.version} *" if one.version == serving else one.version,
            f"{one.metadata.as_of:%Y-%m-%d}",
            one.metadata.family.replace("_", " "),
            *(_measured(one, name) for name in listed),
            verdicts.get(one.version, NOT_KNOWN),
        ]
        for one in saved
    ]
    head = ["trained (UTC)", "model", "as of", "family", *map(metric_name, listed), "gate"]
    return _table([head, *rows])


def _measured(saved: Saved, metric: str) -> str:
    interval = saved.metadata.metrics.get(metric)
    return interval_text(interval) if interval else NOT_KNOWN


def _answering(current: Saved, last: Answered | None, followers: Sequence[Following] = ()) -> str:
    """Whether what serves is the champion, as far as the prediction log says."""
    if last is None:
        return f"none in the prediction log; {ASK}"
    said = f"the newest in the prediction log is by {last.model_version}, {last.moment:{TIME}} UTC"
    if last.model_version == current.version:
        return said
    after = last.moment > saved_at(current.moment)
    when = "although" if after else "from before"
    said = f"{said}, {when} {current.version} became champion."
    # of services that follow, what they serve is told line by line
    return said if followers else f"{said} {RESTART}"


def _followed(current: Saved, followers: Sequence[Following]) -> list[tuple[str, str]]:
    """What services serve that follow the champion, a line each."""
    return [("Follows", _following(current, one)) for one in followers]


def _following(current: Saved, one: Following) -> str:
    said = f"process {one.process} answers with {one.model_version} since {one.since}"
    if one.release == current.metadata.release:
        return said
    if one.refused == current.metadata.release:
        return f"{said}, and refused {one.refused}: {one.reason}"
    return f"{said}, and has not looked yet"


def list_history(saved: Sequence[Saved], awaiting: str | None, env: str | None) -> str:
    """List champions, newest first, a line each, after the candidate that awaits approval."""
    lines = []
    if awaiting:
        command = typed(f"kedro champion promote {awaiting} --reason …", env)
        lines.append(f"{awaiting} awaits approval: `{command}`")
    if saved:
        rows = [_row(one, before) for one, before in zip(saved, [*saved[1:], None], strict=True)]
        rows[0][1] += " *"
        head = [*BEFORE, *map(metric_name, _main(saved[0])), *AFTER]
        lines.append(_table([head, *rows]))
    else:
        lines.append("There is no champion yet.")
    return "\n".join(lines)


def tell_move(
    to: Saved,
    seconds: float,
    last: Answered | None,
    env: str | None,
    followers: Sequence[Following] = (),
) -> str:
    """Tell that a person changed the champion, what may still serve another, what comes next."""
    title = "Rolled back" if _decided(to)[0] == "rollback" else "Promoted"
    before = to.decision.champion_before if to.decision else None
    lines = [
        (title, f"to {to.version}{f' from {before}' if before else ''} in {seconds:.1f} s"),
        ("Release", f"{to.metadata.release}, ready to serve"),
        ("Answers", _answering(to, last, followers)),
        *_followed(to, followers),
    ]
    if not followers:
        lines.append(("Next", typed("make serve", env)))
    return _table(lines)


def tell_reproduction(version: str, found: Sequence[Difference], seconds: float) -> str:
    """Tell whether a model that was trained again is the same, else what differs."""
    if found:
        rows = [["", "on record", "trained again"], *(list(map(str, row)) for row in found)]
        return f"{_table(rows)}\n{version} was not reproduced, in {seconds:.0f} s."
    return (
        f"{version} was reproduced in {seconds:.0f} s: the same model to the last byte, from the "
        "same data, with the same way to decide and metrics."
    )


def tell_again(found: Again) -> str:
    """Tell of a logged prediction: who made it, whether it comes out again, and of what it came."""
    record, spec, decision = found.record, found.spec, found.decision
    other = [f"{name} {now}, not {was}" for name, (was, now) in found.differences.items()]
    lines = [
        ("Prediction", f"{record['prediction_id']}, {record['predicted_at']} UTC"),
        ("Model", f"{spec.model_version}, {spec.family.replace('_', ' ')}, as {record['variant']}"),
        ("Decision", _said(decision) if decision else "not on record"),
        ("Answer", ", ".join(f"{name} {record[name]}" for name in found.predicted)),
        ("Again", ", ".join(other) or f"the same to the last bit, by {spec.engine}"),
        ("Missing", (record["missing_features"] or NOT_KNOWN).replace(",", ", ")),
    ]
    explained = found.explained
    if isinstance(explained, str):
        lines.append(("Explained", f"not: {explained}"))
        added = {}
    else:
        added, base = explained.contributions, explained.base
        total = base + sum(added.values())
        lines.append(("Raw score", f"{total:.6g} ({spec.output.raw}), of which base {base:.6g}"))
    order = sorted(spec.fields, key=lambda field: -abs(added.get(field.name, 0)))
    rows = [
        [
            field.name,
            _value(record.get(field.name)),
            f"from {field.source.table}" if field.source else "sent",
            f"{added[field.name]:+.6g}" if field.name in added else NOT_KNOWN,
        ]
        for field in order
        if not field.personal
    ]
    head = ["input", "value", "whence", "contribution"]
    return f"{_table(lines)}\n\n{_table([head, *rows])}\n"


def _value(value: Any) -> str:
    return NOT_KNOWN if value is None else str(value)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(saved: Saved, before: Saved | None) -> list[str]:
    """A champion's line; one that stayed has just a release of other code."""
    stayed = before is not None and is_same(before.decision, saved.decision)
    metadata, lineage = saved.metadata, saved.metadata.lineage
    measured = [metadata.metrics.get(name) for name in _main(saved)]
    outcome, by, why = _decided(saved)
    return [
        _moment(saved),
        saved.version,
        "release" if stayed else outcome,
        by,
        *(f"{interval.value:.3f}" if interval else NOT_KNOWN for interval in measured),
        lineage.git_commit[:SHORT],
        lineage.data_hash[:SHORT],
        textwrap.shorten(why, REASON, placeholder=" …"),
    ]


def _main(saved: Saved) -> Sequence[str]:
    """The two metrics that are named first."""
    return saved.metadata.listed[:2]


def _moment(saved: Saved) -> str:
    return f"{saved_at(saved.moment):{TIME}}"


def _said(decision: Decision) -> str:
    return f"{decision.outcome} by {decision.decided_by}: {' '.join(decision.reasons)}"


def _decided(saved: Saved) -> tuple[str, str, str]:
    """The outcome, who decided so, and why; of some champions that is not on record."""
    made = saved.decision
    if made is None:
        return NOT_KNOWN, GATE, ""
    return made.outcome, made.decided_by, " ".join(made.reasons)
