"""The form that `kedro new --starter` takes, which is Cookiecutter's."""

import json
from pathlib import Path

import yaml

from .answers import (
    FOLLOWING,
    INVALID_NAME,
    NAMED_AFTER,
    PARTS,
    TAKEN_NAME,
    VALID_NAME,
    taken_names,
)
from .contents import Contents, escape, render

FOLDER = "{{ cookiecutter.repo_name }}"
PRIVATE = {"service": "__service", "service_id": "__service_id"}
BEFORE = """\
import re
import sys

NAME = {{ cookiecutter.project_name | tojson }}
TAKEN = """
BEFORE_ENDS = f"""

if not re.match(r"{VALID_NAME}", NAME):
    sys.exit("{INVALID_NAME}")
if "{{{{ cookiecutter.python_package }}}}" in TAKEN:
    sys.exit("{TAKEN_NAME}")
"""
AFTER = '''\
"""Removes what was answered no, and records what adoption may write over."""

import hashlib
import json
import shutil
from pathlib import Path

LISTS
for path in GONE:
    shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
there = [path for path in OWNED if Path(path).exists()]
hashes = {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in there}
Path(".adopted.json").write_text(json.dumps(hashes, indent=2) + "\\n")
'''


def write(contents: Contents, folder: Path) -> None:
    """Write the starter into an empty folder."""
    for path, text in contents.texts.items():
        file = folder / FOLDER / render(path, _place)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(render(text, _place, escape))
        if path in contents.executable:
            file.chmod(0o755)
    answers = {"project_name": "New Project"}
    answers |= {part: "yes" if default else "no" for part, (_, default) in PARTS.items()}
    for name, rule in FOLLOWING.items():
        answers[PRIVATE.get(name, name)] = f"{{{{ {_follow(rule)} }}}}"
    (folder / "cookiecutter.json").write_text(f"{json.dumps(answers, indent=4)}\n")
    (folder / "prompts.yml").write_text(yaml.safe_dump(_prompts(), sort_keys=False))
    hooks = folder / "hooks"
    hooks.mkdir()
    (hooks / "pre_gen_project.py").write_text(f"{BEFORE}{taken_names()}{BEFORE_ENDS}")
    (hooks / "post_gen_project.py").write_text(_after(contents))


def _place(kind: str, of: str) -> str:
    match kind:
        case "name":
            return f"{{{{ {_variable(of)} }}}}"
        case "if":
            return f"{{% if {_is_yes(of)} %}}"
        case _:
            return f"{{% {kind.replace('end', 'endif')} %}}"


def _variable(name: str) -> str:
    return f"cookiecutter.{PRIVATE.get(name, name)}"


def _is_yes(part: str) -> str:
    return f"cookiecutter.{part}.lower().startswith('y')"


def _follow(rule: str) -> str:
    names = ("project_name", *FOLLOWING)
    return rule.format_map({name: _variable(name) for name in names})


def _prompts() -> dict[str, dict[str, str]]:
    name = {
        "title": "Project Name",
        "text": f"{NAMED_AFTER}\n",
        "regex_validator": VALID_NAME,
        "error_message": INVALID_NAME,
    }
    return {"project_name": name} | {part: _asked(part) for part in PARTS}


def _asked(part: str) -> dict[str, str]:
    said, default = PARTS[part]
    return {
        "title": part.capitalize(),
        "text": f"{said}? {'[Y/n]' if default else '[y/N]'}\n",
        "regex_validator": "(?i)^(y|yes|n|no)$",
        "error_message": "Answer yes or no.",
    }


def _after(contents: Contents) -> str:
    """The hook, in which Jinja leaves of the paths those that were answered no."""
    gone = "".join(
        f"{{% if not {_is_yes(part)} %}}{_lines(paths)}{{% endif %}}"
        for part, paths in contents.parts.items()
    )
    lists = f"GONE = [\n{gone}]\nOWNED = [\n{_lines(contents.owned)}]\n"
    return render(AFTER.replace("LISTS\n", lists), _place)


def _lines(paths: list[str]) -> str:
    return "".join(f'    "{path}",\n' for path in paths)
