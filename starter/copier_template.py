"""The form that `copier copy` and `copier update` take: a git repository, with versions."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

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
from .contents import PLACE, Contents, escape, render

FOLDER = "template"
ANSWERS = """\
# What was answered; `copier update` reads and writes it.
{{ _copier_answers | to_nice_yaml }}"""
RECORD = ".adopted.json"
# an owner's alone, once they are there
KEPT = re.compile("src/|conf/base/catalog_data_engineering").match
NEXT = """\
Your project is in {{ _copier_conf.dst_path }}. There:

    git init --quiet && git add --all && git commit --quiet --message "A new project"
    make help
"""
COMMITTER = ["-c", "user.name=starter", "-c", "user.email=starter@localhost"]


def write(contents: Contents, version: str, repository: Path) -> str:
    """Write the template into its repository, and tag it; the tag is returned.

    A version that was tagged before, and is now another, becomes a post-release of it.
    """
    repository.mkdir(parents=True, exist_ok=True)
    if not (repository / ".git").exists():
        _git(repository, "init", "--quiet", "--initial-branch=main")
    for path in repository.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path, text in contents.texts.items():
        _write(repository / FOLDER, path, text, path in contents.owned)
    for path in contents.executable:
        for file in (repository / FOLDER).glob(f"{render(path, _place)}*"):
            file.chmod(0o755)
    (repository / FOLDER / "{{ _copier_conf.answers_file }}.jinja").write_text(ANSWERS)
    (repository / FOLDER / f"{RECORD}.jinja").write_text(_record(contents))
    (repository / "copier.yml").write_text(
        yaml.safe_dump(_configuration(contents), sort_keys=False, width=1000)
    )
    return _tag(repository, version)


def _write(folder: Path, path: str, text: str, is_included: bool) -> None:
    depends = is_included or PLACE.search(text)
    file = folder / f"{render(path, _place)}{'.jinja' if depends else ''}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(render(text, _place, escape) if depends else text)


def _place(kind: str, of: str) -> str:
    match kind:
        case "name":
            return f"{{{{ {of} }}}}"
        case "if":
            return f"{{% if {of} %}}"
        case _:
            return f"{{% {kind.replace('end', 'endif')} %}}"


def _record(contents: Contents) -> str:
    """What adoption may write over, with the hashes of what Jinja makes of it."""
    hashes = []
    for path in (render(path, _place) for path in contents.owned):
        included = f'{{% set text %}}{{% include "{FOLDER}/{path}.jinja" %}}{{% endset %}}'
        hashes.append(f"""{included}  "{path}": "{{{{ text | hash('sha256') }}}}\"""")
    return "{\n" + ",\n".join(hashes) + "\n}\n"


def _configuration(contents: Contents) -> dict[str, Any]:
    gone = [
        f"{{% if not {part} %}}{render(path, _place)}{{% endif %}}"
        for part, paths in contents.parts.items()
        for path in paths
    ]
    invalid = f"{{% if not (project_name | regex_search('{VALID_NAME}')) %}}{INVALID_NAME}"
    taken = f"{{% elif python_package in {taken_names()} %}}{TAKEN_NAME}{{% endif %}}"
    names = {name: name for name in ("project_name", *FOLLOWING)}
    return {
        "_min_copier_version": "9.4.0",
        "_subdirectory": FOLDER,
        "_exclude": gone,
        "_skip_if_exists": [
            RECORD,
            *(render(path, _place) for path in contents.owned if KEPT(path)),
        ],
        "_message_after_copy": NEXT,
        "project_name": {
            "type": "str",
            "help": NAMED_AFTER,
            "validator": invalid + taken,
        },
        **{
            part: {"type": "bool", "help": f"{said}?", "default": default}
            for part, (said, default) in PARTS.items()
        },
        **{
            name: {"type": "str", "default": f"{{{{ {rule.format_map(names)} }}}}", "when": False}
            for name, rule in FOLLOWING.items()
        },
    }


def _tag(repository: Path, version: str) -> str:
    """Commit what is new, as a version."""
    _git(repository, "add", "--all")
    tags = _git(repository, "tag", "--list", f"v{version}*").split()
    if tags and not _git(repository, "status", "--porcelain"):
        return _git(repository, "describe", "--tags", "--abbrev=0").strip()
    tag = f"v{version}.post{len(tags)}" if tags else f"v{version}"
    _git(repository, *COMMITTER, "commit", "--quiet", "--allow-empty", "--message", tag)
    _git(repository, *COMMITTER, "tag", tag)
    return tag


def _git(repository: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout
