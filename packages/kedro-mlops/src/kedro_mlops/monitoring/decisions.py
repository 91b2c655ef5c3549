"""What monitoring decides and says: retrain or wait, stop or continue a challenger, and alerts."""

from typing import Literal, Self

from pydantic import Field

from kedro_mlops.core.artefacts import Artefact, Interval

DEMAND, BAD_DATA = "demand", "bad data"


class Alert(Artefact):
    """What somebody should hear of, of which look at which model."""

    kind: str
    at: str | None = None
    model_version: str | None = None
    message: str


class Trigger(Artefact):
    """What may ask for retraining, and whether it does."""

    rule: str
    fired: bool
    value: float | None
    limit: float | None
    reason: str


class Guard(Artefact):
    """What may refuse a retraining, and whether it does."""

    guard: str
    refused: bool
    reason: str

    @classmethod
    def of_data(cls, wrong: str | None) -> Self:
        """Bad data never retrains; what is wrong with it is given, if anything is."""
        reason = f"Bad data vetoes retraining: {wrong}" if wrong else "The data is good."
        return cls(guard=BAD_DATA, refused=bool(wrong), reason=reason)


class RetrainDecision(Artefact):
    """Retrain or wait, and what it would be if there were no guards.

    It is of the moment until which the data was looked at; of none where it could not be.
    """

    outcome: Literal["retrain", "wait"]
    without_guards: Literal["retrain", "wait"]
    decided_at: str | None
    model_version: str | None
    reasons: list[str]
    rules: list[Trigger]
    guards: list[Guard]
    drifted: list[str]

    @classmethod
    def weigh(
        cls,
        rules: list[Trigger],
        guards: list[Guard],
        *,
        decided_at: str | None = None,
        model_version: str | None = None,
        drifted: list[str] | None = None,
    ) -> Self:
        """Any rule may ask for retraining, any guard refuse it; bad data is told in any case."""
        fired = [rule for rule in rules if rule.fired]
        refused = [guard for guard in guards if guard.refused]
        bad = any(guard.guard == BAD_DATA for guard in refused)
        # why it waits: by what was measured, rather than by what nobody has asked for
        weighed = [rule for rule in rules if rule.rule != DEMAND] or rules
        said = (refused if fired or bad else []) or fired or weighed
        return cls(
            outcome="retrain" if fired and not refused else "wait",
            without_guards="retrain" if fired else "wait",
            decided_at=decided_at,
            model_version=model_version,
            reasons=[one.reason for one in said],
            rules=rules,
            guards=guards,
            drifted=drifted or [],
        )


class Figures(Artefact):
    """How one of two models that are compared did on its labelled rows, where there are some."""

    model_version: str
    n_rows: int
    metrics: dict[str, Interval] = Field(default_factory=dict)


class ChallengerDecision(Artefact):
    """Whether a challenger that is tried on live rows may go on; ``none`` where there is none.

    One that is surely better goes on as well, until it is the champion: it is proposed to people,
    or promoted by the loop.

    The difference is in loss, challenger minus champion; ``stopped`` is every version that was,
    now or before.
    """

    outcome: Literal["stop", "continue", "propose", "promote", "none"]
    reasons: list[str]
    challenger: str | None
    variant: str | None = None
    champion: Figures | None = None
    challenger_metrics: Figures | None = None
    difference: Interval | None = None
    decided_at: str
    stopped: list[str]
