"""YAML as a project's configuration reads it: whatever a name is, it is read as that."""

import json
import re
from typing import Any

import yaml

# what OmegaConf would put something else in the place of, in values but not in keys
INTERPOLATION = re.compile(r"(\\*)\$\{")


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
        yaml.safe_dump(
            escaped(entry), sort_keys=False, allow_unicode=True, default_flow_style=False
        )
    )


def inline(value: Any) -> str:
    """A value in one line, whatever is around it."""
    return key(escaped(value))


def key(value: Any) -> str:
    """The same of a key."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in text)
