"""What is said of champions."""

import textwrap
from collections.abc import Sequence
from datetime import datetime

from kedro.io.core import VERSION_FORMAT

from flight_delays.champions import Saved
from flight_delays.model_package import GATE
from flight_delays.reproduction import Difference
from flight_delays.wording import interval_text, metric_name

COLUMNS = ["since (UTC)", "model", "outcome", "by", "ROC AUC", "log loss", "commit", "data", "why"]
NOT_KNOWN = "-"
SHORT, REASON = 8, 60


def describe(current: Saved, problem: str | None) -> str:
    """Describe the champion in full.

    Args:
        current: The champion.
        problem: Why its release cannot serve, if it cannot.
    """
    metadata = current.metadata
    family = metadata.family.replace("_", " ")
    metrics = [(_title(name), interval_text(found)) for name, found in metadata.metrics.items()]
    withdrawn = [("Withdrawn", ", ".join(metadata.withdrawn))] if metadata.withdrawn else []
    return _list(
        ("Champion", f"{current.version}, {family}, as of {metadata.as_of:%Y-%m-%d}"),
        ("Since", f"{_moment(current)} UTC"),
        ("Decision", f"{_outcome(current)} by {_by(current)}: {_why(current)}"),
        *metrics,
        ("Commit", metadata.lineage.git_commit),
        ("Data", metadata.lineage.data_hash),
        ("Lock file", metadata.lineage.lock_hash),
        *withdrawn,
        ("Release", problem or f"{metadata.release}, ready to serve"),
    )


def list_history(saved: Sequence[Saved], awaiting: str | None, env: str | None) -> str:
    """List champions, newest first, a line each, after the candidate that awaits approval."""
    lines = []
    if awaiting:
        command = f"kedro champion promote {awaiting} --reason …{f' --env {env}' if env else ''}"
        lines.append(f"{awaiting} awaits approval: `{command}`")
    if saved:
        rows = [_row(one, before) for one, before in zip(saved, [*saved[1:], None], strict=True)]
        rows[0][1] += " *"
        lines.append(_table([COLUMNS, *rows]))
    else:
        lines.append("There is no champion yet.")
    return "\n".join(lines)


def tell_move(to: Saved, seconds: float, env: str | None) -> str:
    """Tell that a person changed the champion, and what to do next."""
    title = "Rolled back" if _outcome(to) == "rollback" else "Promoted"
    before = to.decision["champion_before"]
    return _list(
        (title, f"to {to.version}{f' from {before}' if before else ''} in {seconds:.1f} s"),
        ("Release", f"{to.metadata.release}, ready to serve"),
        ("Next", f'make serve ARGS="--env {env}"' if env else "make serve"),
    )


def tell_reproduction(version: str, found: Sequence[Difference], seconds: float) -> str:
    """Tell whether a model that was trained again is the same, else what differs."""
    if found:
        rows = [["", "on record", "trained again"], *(list(map(str, row)) for row in found)]
        return f"{_table(rows)}\n{version} was not reproduced, in {seconds:.0f} s."
    return (
        f"{version} was reproduced in {seconds:.0f} s: the same model to the last byte, from the "
        "same data, with the same threshold and metrics."
    )


def _list(*lines: tuple[str, str]) -> str:
    width = max(len(title) for title, _ in lines) + 2
    return "\n".join(f"{title:<{width}}{text}" for title, text in lines)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(saved: Saved, before: Saved | None) -> list[str]:
    """A champion's line; one that stayed has just a release of other code."""
    stayed = before is not None and before.metadata.decision == saved.metadata.decision
    metadata, lineage = saved.metadata, saved.metadata.lineage
    measured = [metadata.metrics.get(name) for name in ("roc_auc", "log_loss")]
    return [
        _moment(saved),
        saved.version,
        "release" if stayed else _outcome(saved),
        _by(saved),
        *(f"{interval['value']:.3f}" if interval else NOT_KNOWN for interval in measured),
        lineage.git_commit[:SHORT],
        lineage.data_hash[:SHORT],
        textwrap.shorten(_why(saved), REASON, placeholder=" …"),
    ]


def _title(metric: str) -> str:
    """The name of a metric, to begin a line with."""
    name = metric_name(metric)
    return f"{name[:1].upper()}{name[1:]}"


def _moment(saved: Saved) -> str:
    moment = datetime.strptime(saved.moment, VERSION_FORMAT)  # noqa: DTZ007 - shown as UTC
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _outcome(saved: Saved) -> str:
    return str(saved.decision.get("outcome", NOT_KNOWN))


def _by(saved: Saved) -> str:
    return str(saved.decision.get("decided_by", GATE))


def _why(saved: Saved) -> str:
    return " ".join(saved.decision.get("reasons", []))
