"""What README.md tells a person to type."""

import json
import re
import shlex
from typing import Any


def commands(readme: str) -> list[str]:
    """The commands of the bash blocks, in their order, without comments."""
    blocks = re.findall(r"^```bash\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    lines = [re.sub(r"(^|\s+)#\s.*$", "", line) for block in blocks for line in block.splitlines()]
    return [line.strip() for line in lines if line.strip()]


def request_body(readme: str) -> str:
    """The body that the README's curl sends."""
    [curl] = [shlex.split(command) for command in commands(readme) if command.startswith("curl")]
    return curl[curl.index("-d") + 1]


def example_answer(readme: str) -> dict[str, Any]:
    """The answer that the README shows."""
    [block] = re.findall(r"^```json\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    return json.loads(block)
