"""Up to where a model has learned from rows that have no date."""

from kedro_mlops.core.artefacts import Artefact


class Places(Artefact):
    """The last place of the rows that a model has learned from; see ``timeline.Undated``.

    Attributes:
        by: The columns by which every row has its place.
        last: By the code of the class, the last place of a row that was learned from.
    """

    by: list[str]
    last: dict[str, str]
