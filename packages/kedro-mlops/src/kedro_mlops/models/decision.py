"""What was decided of a candidate, by the gate or by a person; it travels with a champion."""

from typing import Literal

from pydantic import Field

from kedro_mlops.core.artefacts import Artefact, Check, is_none

# who decides, where no person does
GATE = "gate"

Outcome = Literal["promote", "await_approval", "keep", "block", "rollback"]


class Decision(Artefact):
    """Whether a candidate becomes champion, and why.

    Attributes:
        outcome: ``promote``; ``await_approval``, a person is to promote it; ``keep``, the champion
            stays because the candidate is not better, or was rolled back; ``block``, the candidate
            is not fit to serve; or ``rollback``, a person returned to an earlier champion.
        candidate: The version that was judged, or chosen.
        champion_before: The version that served then, if one did.
        as_of: The day as of which the candidate was trained.
        decided_by: The gate, or the login of a person.
        decided_at: The moment: of the gate's world, or that of a person.
        reasons: Why, in sentences.
        checks: What was found of the candidate.
        from_version: Of a rollback, what it left; in a file, ``from``.
        to: Of a rollback, what it returned to.
    """

    outcome: Outcome
    candidate: str
    champion_before: str | None
    # younger than some champions, as is the moment
    as_of: str | None = None
    decided_by: str = GATE
    decided_at: str | None = None
    reasons: list[str]
    checks: list[Check] = Field(default_factory=list)
    from_version: str | None = Field(None, alias="from", exclude_if=is_none)
    to: str | None = Field(None, exclude_if=is_none)
