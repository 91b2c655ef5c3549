"""What the release pipeline makes: a Bento, and the proof that it answers as the model does."""

from pydantic import Field

from kedro_mlops.core.artefacts import Artefact, is_none


class Bento(Artefact):
    """A Bento in BentoML's store, and the stored models in it, each by its tag ``name:version``."""

    tag: str
    model: str
    challenger: str | None


class ProvenRelease(Artefact):
    """A Bento that works with the same features and answers as batch scoring does, by its tag.

    The difference is in a score; ``labels`` are the lineage, ``bento_sha256`` is of its files.
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
    bento_sha256: str | None = Field(None, exclude_if=is_none)
