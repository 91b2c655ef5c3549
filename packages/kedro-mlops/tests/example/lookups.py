"""Who hears of what is looked up."""


class Heard:
    """Hears of what is looked up."""

    def __init__(self) -> None:
        self.all = 0
        self.results: list[tuple[str, str]] = []
        self.ages: list[tuple[str, float]] = []

    def found_all(self) -> None:
        self.all += 1

    def looked_up(self, table: str, result: str) -> None:
        self.results.append((table, result))

    def feature_age(self, table: str, days: float) -> None:
        self.ages.append((table, days))
