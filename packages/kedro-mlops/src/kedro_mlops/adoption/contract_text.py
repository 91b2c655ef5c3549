"""``contracts.py``, as its owner would have written it."""

import textwrap
from collections.abc import Iterable

from kedro_mlops.prediction_log.contract import PredictionColumns
from kedro_mlops.task.outputs import DECISION, PREDICTION, PROBABILITY

from .decisions import Adoption
from .features import ColumnDecision
from .python_text import TOO_LONG, WIDTH, Argument, call, identifiers, literal, plain

OPENING = """What the data is: the file an owner edits first.

{}
"""
WORDS = (
    "Each column of {} is declared once. The catalog validates against it, and quarantine, the "
    "model's preprocessing, the service's API, the prediction log, monitoring and the data "
    "dictionary are built from it. Descriptions that end in … are waiting for your words."
)
# what a module of contracts has by name
IMPORTED = ("Contract", "PredictionColumns", "column", "pd")
ROW_ID = "row_id"
# readers of files guess the types of columns, each file by itself
COERCE = """\
        # callers may send "6" for a number, 6 for text, and moments as the source says them
        coerce = True"""
ABOUT_ROW_ID = "Digest of what the row says, which no column names; callers leave it out"


def contracts_of(adoption: Adoption) -> str:
    """The whole module."""
    columns = [c for c in adoption.columns if c.use != "label"]
    label = next(c for c in adoption.columns if c.use == "label")
    names = identifiers([c.name for c in adoption.columns], taken())
    outcome = _outcome(adoption, label, names)
    parts = [
        _head(adoption),
        *(
            [
                _known(columns, names),
                outcome,
                _delivered(adoption, label, names),
                _inputs(adoption, columns, names),
            ]
            if is_derived(adoption)
            else [_inputs(adoption, columns, names), outcome]
        ),
        _class("Observation(Outcome, Inputs)", "One row to learn from.", []),
        _class(
            "Prediction(PredictionColumns, Inputs, of=Outcome)",
            "One row of the prediction log.",
            [],
            config=[_unique(["prediction_id"])],
        ),
    ]
    return "\n\n".join(part.rstrip("\n") + "\n" for part in parts)


def taken() -> list[str]:
    """Names that a contract has already."""
    logged = PredictionColumns.to_schema().columns
    told = [PROBABILITY, DECISION, PREDICTION, *(f"{PREDICTION}_{end}" for end in ("low", "high"))]
    return [*dir(PredictionColumns), *logged, *told, *IMPORTED, ROW_ID, "Config"]


def is_derived(adoption: Adoption) -> bool:
    """Whether anything is added to what is delivered."""
    return is_nameless(adoption) or adoption.days is not None


def is_nameless(adoption: Adoption) -> bool:
    """Whether no column names a row."""
    return not adoption.keys


def delivered(adoption: Adoption) -> str:
    """The contract of what the source gives."""
    return "Delivered" if is_derived(adoption) else "Observation"


def _head(adoption: Adoption) -> str:
    types = {column.type for column in adoption.columns}
    needs_pandas = any(each.startswith("pd.") for each in types) or adoption.days is not None
    imports = [
        "import pandas as pd\n\n" if needs_pandas else "",
        "from kedro_mlops.contract.columns import Contract, column\n",
        "from kedro_mlops.prediction_log.contract import PredictionColumns\n",
    ]
    words = textwrap.fill(WORDS.format(plain(adoption.source)), WIDTH)
    return f'"""{OPENING.format(words)}"""\n\n' + "".join(imports)


def _known(columns: list[ColumnDecision], names: dict[str, str]) -> str:
    """What is delivered but the outcome, where something is added to it."""
    # what a row is identified by is said where the moment of its label is known
    fields = [_field(column, names, without_key=True) for column in columns]
    return _class("Known(Contract)", "What is known of a row when its outcome is not.", fields)


def _outcome(adoption: Adoption, label: ColumnDecision, names: dict[str, str]) -> str:
    fields = [_field(label, names)]
    if adoption.days is not None:
        words = "Moment from which the outcome is known; say in data_engineering when that is"
        said: list[Argument] = [literal(words), ("label_time", True), ("nullable", True)]
        fields.append(call("outcome_known_at: pd.Timestamp = column", said))
    return _class("Outcome(Contract)", "What really happened, once it is known.", fields)


def _delivered(adoption: Adoption, label: ColumnDecision, names: dict[str, str]) -> str:
    words = f"One row of {plain(adoption.source)}."
    if adoption.days is None:
        return _class("Delivered(Outcome, Known)", words, [])
    return _class("Delivered(Known)", words, [_field(label, names, without_label=True)])


def _inputs(adoption: Adoption, columns: list[ColumnDecision], names: dict[str, str]) -> str:
    words = "What is known of a row when its outcome is predicted."
    if is_nameless(adoption):
        said: list[Argument] = [literal(ABOUT_ROW_ID), ("key", True), ("assigned", True)]
        key = call(f"{ROW_ID}: str = column", said)
        return _class("Inputs(Known)", words, [key], config=[COERCE, _unique([ROW_ID])])
    keys = [column for column in columns if column.name in adoption.keys]
    fields = [_field(column, names) for column in (keys if is_derived(adoption) else columns)]
    parent = "Known" if is_derived(adoption) else "Contract"
    config = [COERCE, _unique([*adoption.keys])]
    return _class(f"Inputs({parent})", words, fields, config=config)


def _field(
    column: ColumnDecision,
    names: dict[str, str],
    *,
    without_key: bool = False,
    without_label: bool = False,
) -> str:
    """A column's declaration."""
    name, options = names[column.name], dict(column.options)
    if without_key:
        options.pop("key", None)
    if without_label:
        for role in ("label", "positive"):
            options.pop(role, None)
    said: list[Argument] = [literal(describe(column.name))]
    if name != column.name:
        said.append(("alias", column.name))
    said += options.items()
    if column.example is not None and column.use in ("feature", "key", "group", "time"):
        said.append(("example", column.example))
    return call(f"{name}: {column.type} = column", said)


def describe(name: str) -> str:
    """What stands for a description until there is one."""
    words = name.replace("_", " ").strip()
    return f"{words[:1].upper()}{words[1:60].rstrip()} …"


def _class(opening: str, words: str, fields: Iterable[str], config: Iterable[str] = ()) -> str:
    lines = [f"class {opening}:", f"    {_docstring(words)}"]
    fields = list(fields)
    if fields:
        lines += ["", *fields]
    if config:
        lines += ["", "    class Config:", *config]
    return "\n".join(lines) + "\n"


def _unique(names: list[str]) -> str:
    line = f"        unique = {literal(names)}"
    if len(line) <= WIDTH:
        return line
    inner = ",\n".join(f"            {literal(name)}" for name in names)
    return f"        unique = [\n{inner},\n        ]"


def _docstring(words: str) -> str:
    line = f'"""{words}"""'
    return line if len(line) + 4 <= WIDTH else f"{line}{TOO_LONG}"
