"""Formats of moments in the words of Java, by which Spark reads them."""

import re

from kedro_mlops.core.errors import ProjectError

# what is said with as many digits as there are, and with a fixed number; not of years without their
# century, which Java takes to be of this one
_NUMBERS = {
    "Y": ("y", "yyyy"), "m": ("M", "MM"), "d": ("d", "dd"), "H": ("H", "HH"),
    "I": ("h", "hh"), "M": ("m", "mm"), "S": ("s", "ss"), "j": ("D", "DDD"), "f": ("SSSSSS",) * 2,
}  # fmt: skip
_OTHERS = {"b": "MMM", "B": "MMMM", "p": "a", "z": "[xxx][xx][x]", "%": "'%'"}
_PARTS = re.compile(r"%(.)|([^%]+)", re.DOTALL)


def java_format(form: str) -> str:
    """A format of ``strptime`` as Java's ``DateTimeFormatter`` has it.

    Numbers that touch each other have all their digits, others as many as there are.

    Raises:
        ProjectError: naming what it cannot say.
    """
    if "%Y" not in form and "%y" not in form:
        raise ProjectError(
            f"Spark cannot read moments by '{form}', which has no year: it takes another for "
            "granted than DuckDB. Say one that has %Y in contracts.py, or mend the source."
        )
    parts = [(found[1] or "", found[2]) for found in _PARTS.finditer(form)]
    said = []
    for place, (directive, literal) in enumerate(parts):
        if literal is not None:
            said.append("'{}'".format(literal.replace("'", "''")))
        elif directive in _NUMBERS:
            beside = {parts[at][0] for at in (place - 1, place + 1) if 0 <= at < len(parts)}
            said.append(_NUMBERS[directive][not beside.isdisjoint(_NUMBERS)])
        elif directive in _OTHERS:
            said.append(_OTHERS[directive])
        else:
            raise ProjectError(
                f"Spark cannot read moments by '%{directive}', which '{form}' has. Say another "
                "format in contracts.py, or mend the source."
            )
    return "".join(said)
