"""Names of columns that no table has: those that the engine gives to what it adds for itself."""

OWN = "kedro_mlops: "


def own(name: str) -> str:
    """A name that no column of a contract has; see ``contract.names``."""
    return f"{OWN}{name}"
