"""YAML as a project's configuration reads it: whatever a name is, it is read as that."""

import json
import re
from typing import Any

import yaml

# what OmegaConf would put something else in the place of, in values but not in keys
INTERPOLATION = re.compile(r"(\\*)\$\{")
# ends of lines that YAML reads as blanks, or as others, unless they are escaped
OTHER_ENDS = re.compile("[\r\x85\u2028\u2029]")


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Escapes what would not be read as it is."""


def _text(dumper: Any, value: str) -> Any:
    style = '"' if OTHER_ENDS.search(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def escaped(value: Any) -> Any:
    """The same, so that OmegaConf reads it as it is."""
    if isinstance(value, str):
        return INTERPOLATION.sub(lambda found: f"{found[1] * 2}\\${{", value)
    if isinstance(value, list):
        return [escaped(each) for each in value]
    if isinstance(value, dict):
        return {key: escaped(each) for key, each in value.items()}
    return value


def block(entry: dict[str, Any]) -> str:
    """A mapping, a line for each of its keys."""
    return str(
        yaml.dump(
            escaped(entry),
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=False,
        )
    )


def inline(value: Any) -> str:
    """A value in one line, whatever is around it."""
    return key(escaped(value))


def key(value: Any) -> str:
    """The same of a key."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in text)
