"""What a column may be called: anything that can be told from what others are called.

A column's name is its Python name, or what ``alias`` says: files, requests, the prediction log,
reports and parameters have that one, whatever it is.
"""

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator

from kedro_mlops.core.names import OWN

# the columns of the prediction log that are the same for every project
LOGGED = ("prediction_id", "predicted_at", "model_version", "variant", "missing_features")
ALIAS = 'give it another Python name, and say what it is called by `alias="…"`'


def members_of(contract: type, base: type) -> dict[str, list[type]]:
    """The Python names of a contract's columns, and the classes that declare each.

    Args:
        contract: Of which the members are looked at.
        base: What every contract is made from; its members are no columns.
    """
    found: dict[str, list[type]] = {}
    for each in reversed(contract.__mro__):
        for name in [] if issubclass(base, each) else inspect.get_annotations(each):
            found.setdefault(name, []).append(each)
    return found


def misnamed_members(members: dict[str, list[type]], base: type) -> Iterator[str]:
    """What is wrong with Python names of columns, of which Pandera says nothing."""
    for name, classes in members.items():
        first = classes[0]
        if name.startswith("_"):
            yield f"'{name}' begins with `_`, and Pandera would leave it out: {ALIAS}"
        elif hasattr(base, name):
            yield f"'{name}' is the name of something else that contracts have: {ALIAS}"
        elif not all(issubclass(each, first) for each in classes):
            yield f"'{name}' is declared by {first.__name__}, too: {ALIAS}"


def misnamed(members: Iterable[str], called: dict[str, str]) -> Iterator[str]:
    """What is wrong with the names of a contract's columns.

    Args:
        members: Their Python names.
        called: What columns are called, by their Python names, as far as Pandera tells them apart.
    """
    for member in members:
        if member not in called:
            yield f"calls the column '{member}' as another is called: no two have one alias"
    names = list(called.values())
    for name in names:
        if not name.strip():
            yield f"has a column called {name!r}: give it a name where its table is made"
        elif folded(name).startswith(OWN):
            yield (
                f"has '{name}': names that begin with '{OWN}' are the engine's own; rename the "
                "column where its table is made"
            )
    for alike in alike_but_for_case(names):
        yield (
            f"has {alike}, which differ in upper and lower case alone: the engine takes them for "
            "one column. Rename one of them where its table is made"
        )


def taken_by_log(name: str) -> str:
    """What is wrong with a contract whose column is called as one of the prediction log."""
    return (
        f"has '{name}', which is what the log of the service calls a column of its own: rename it "
        f"where its table is made, to '{name}_' for example"
    )


def alike_but_for_case(names: Iterable[str]) -> list[str]:
    """Names that DuckDB cannot tell apart, each few of them in words."""
    names = list(names)
    counted = Counter(map(folded, names))
    return [
        " and ".join(repr(name) for name in names if folded(name) == key)
        for key, n in counted.items()
        if n > 1
    ]


def folded(name: str) -> str:
    """A name as DuckDB compares it: of letters, only those of ASCII in lower case."""
    return name.encode(errors="surrogatepass").lower().decode(errors="surrogatepass")


def strangers(names: Iterable[str], called: dict[str, str]) -> Iterator[str]:
    """Names that are of no column, of which some are the Python names of columns.

    Args:
        names: As somebody gave them.
        called: What columns are called, by their Python names.
    """
    for name in names:
        if name not in called.values():
            instead = f"; that column is called '{called[name]}'" if name in called else ""
            yield f"names '{name}', which is no column{instead}"
