"""What the release pipeline makes: a Bento, and the proof that it answers as the model does."""

from kedro_mlops.core.artefacts import Artefact


class Bento(Artefact):
    """A Bento in BentoML's store, and the stored models in it, each by its tag ``name:version``."""

    tag: str
    model: str
    challenger: str | None


class ProvenRelease(Artefact):
    """A Bento that works with the features, and answers as, batch scoring does.

    Attributes:
        bento: Its tag.
        model: The tag of the champion's model in it.
        engine: What computes that one's probabilities.
        challenger: The tag of the challenger in it.
        labels: The lineage.
        rows_compared: Real rows that it was asked for.
        features_compared: What it worked with, column by column.
        largest_difference: From batch scoring, in probability.
        tolerance: What was accepted.
    """

    bento: str
    model: str
    engine: str
    challenger: str | None
    labels: dict[str, str]
    rows_compared: int
    features_compared: list[str]
    largest_difference: float
    tolerance: float
