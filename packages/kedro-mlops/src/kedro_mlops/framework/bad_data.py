"""Which failures of a run are failures of its data, and what is to be said of them."""

import re

from kedro.io import DatasetError
from kedro.pipeline.node import Node
from kedro.validation import DataValidationError

from kedro_mlops.core.errors import BadDataError, ProjectError, causes_of, is_out_of_memory

# the pipeline that works with what comes from outside
NAMESPACE = "data_engineering"
# what engines and libraries raise because of values, by the names of their classes: none of them
# has to be imported to be known
ABOUT_VALUES = {
    *("DataError", "IntegrityError", "InvalidInputException"),  # DuckDB
    *("ValueError", "ArithmeticError"),  # pandas, pyarrow, and Python
    *("ArithmeticException", "DateTimeException", "NumberFormatException"),  # Spark
}


class UnworkableError(BadDataError):
    """A value that an engine or a library stopped at."""


def as_bad_data(
    error: BaseException, node: Node | None, loading: str | None
) -> BadDataError | None:
    """What to say of a failure, if the data is to blame.

    Args:
        error: What was raised.
        node: The node that was running, or whose datasets were loaded or saved.
        loading: The dataset that was being loaded for it.
    """
    causes = list(causes_of(error))
    for cause in causes:
        if isinstance(cause, BadDataError):
            return cause
    if isinstance(error, DataValidationError):
        return BadDataError(str(error))
    if node is None or node.namespace != NAMESPACE or is_out_of_memory(error):
        return None
    if any(isinstance(cause, ProjectError) for cause in causes):
        return None
    if loading and isinstance(error, DatasetError):
        return BadDataError(f"{loading} cannot be read. {error}")
    about_values = [c for c in causes if ABOUT_VALUES & {kind.__name__ for kind in type(c).__mro__}]
    return UnworkableError(_in_words(about_values[-1], node)) if about_values else None


def _in_words(error: BaseException, node: Node) -> str:
    said = str(error).partition("\n")[0]
    # values that are quoted may be personal
    said = re.sub(r"'[^']*'|\"[^\"]*\"", "…", said)
    data = [name for name in node.inputs if not name.startswith("params:")]
    return (
        f"{', '.join(node.outputs)} cannot be made of {', '.join(data)}: {said}. Some row has a "
        f"value that {node.func.__name__} cannot work with. Let contracts.py "
        "refuse it, by a bound or by `real_moment`, so that the row goes to quarantine. Nothing "
        "was trained, and the champion stays."
    )
