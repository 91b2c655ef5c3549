"""What a new project consists of, with the places where it depends on an answer."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import uv

from kedro_mlops.adoption.marks import declared_parts, files_in_git, replace_marked
from kedro_mlops.adoption.writing import BESIDE, CONF, ENGINEERING

HERE = Path(__file__).parent
OWNED = [f"conf/base/{name}" for name in CONF]
OWNED += [path for path in BESIDE if path.startswith("conf")]
OWNED += ["src/flight_delays/contracts.py"]
OWNED += [
    f"src/flight_delays/{ENGINEERING}/{name}.py" for name in ("__init__", "nodes", "pipeline")
]
# in text: a name, or the beginning, middle or end of what depends on an answer
PLACE = re.compile("\x01(?P<kind>name|if|else|end)(?: (?P<of>[a-z_]+))?\x02")
ELSE, END = "\x01else\x02", "\x01end\x02"
# in which files which name of this repository stands for which of a project, the first that fits
NAMES = [
    # BentoML would take a module's name for one, so the service has a name of its own
    (r"deploy/|conf/base/parameters_release\.yml", "flight_delays", "service_id"),
    (r".*/service\.py|docs/extending\.md", '(?<=")flight_delays(?=",)', "service_id"),
    (r"pyproject\.toml", '(?<=project_name = ")kedro-mlops-template', "project_name"),
    (r"README\.md", "kedro-mlops-template", "project_name"),
    ("", "kedro-mlops-template", "repo_name"),
    ("", "flight_delays", "python_package"),
    ("", "flight-delays", "service"),
    ("", "Flight delays", "project_name"),
]


@dataclass
class Contents:
    """The files of a new project; paths have places for names, texts also for what depends.

    Attributes:
        texts: What each file holds.
        executable: Those that may be run.
        parts: The paths that are there only if an answer is yes, by that answer.
        owned: Those that adoption may write over.
    """

    texts: dict[str, str] = field(default_factory=dict)
    executable: set[str] = field(default_factory=set)
    parts: dict[str, list[str]] = field(default_factory=dict)
    owned: list[str] = field(default_factory=list)


def gather(root: Path) -> Contents:
    """The files that git has of a repository, as a new project has them."""
    parts = declared_parts(root)
    dropped = parts.pop("template")
    tracked = files_in_git(root, "--cached", "--others", "--exclude-standard")
    files = {path: root / path for path in tracked if not _is_in(path, dropped)}
    files |= _below(HERE / "project")
    empty = _below(HERE / "empty")
    texts = {path: file.read_text() for path, file in files.items()}
    texts |= {path: _either(texts[path], file.read_text()) for path, file in empty.items()}
    texts["uv.lock"] = _either(*(_lock(root, texts["pyproject.toml"], kept) for kept in (1, 0)))
    return Contents(
        texts={
            _named(path): _named(replace_marked(text, _depend), path)
            for path, text in texts.items()
        },
        executable={_named(path) for path, file in files.items() if file.stat().st_mode & 0o100},
        parts={answer: [_named(path) for path in paths] for answer, paths in parts.items()},
        owned=[_named(path) for path in sorted(OWNED)],
    )


def render(text: str, place: Callable[[str, str], str], literal: Callable[[str], str] = str) -> str:
    """Put words in the places of a text.

    Args:
        text: Of a path or a file.
        place: Gives what stands in a place, of its kind and what it is of.
        literal: What becomes of the text between them.
    """
    pieces, last = [], 0
    for found in PLACE.finditer(text):
        pieces += [literal(text[last : found.start()]), place(found["kind"], found["of"] or "")]
        last = found.end()
    return "".join([*pieces, literal(text[last:])])


def escape(text: str) -> str:
    """What Jinja makes that text of; it knows no other beginnings."""
    return re.sub(r"\{[{%#]", lambda found: f"{{{{ '{found[0]}' }}}}", text)


def _is_in(path: str, folders: list[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _below(folder: Path) -> dict[str, Path]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc")
    return {file.relative_to(folder).as_posix(): file for file in files}


def _named(text: str, path: str = "") -> str:
    """With a place wherever this repository has a name of its own."""
    for where, name, of in NAMES:
        if re.match(where, path):
            text = re.sub(name, f"\x01name {of}\x02", text)
    return text


def _depend(part: str, lines: str) -> str:
    return "" if part == "template" else f"\x01if {part}\x02{lines}{END}"


def _either(with_example: str, without: str) -> str:
    if with_example == without:
        return without
    return f"\x01if example\x02{with_example}{ELSE}{without}{END}"


def _lock(root: Path, pyproject: str, with_example: bool) -> str:
    """The lock file of a project; what this repository has locked stays as it is."""
    kept = {"template": False, "example": with_example}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for path in (
            "uv.lock",
            "packages/kedro-mlops/pyproject.toml",
            "src/flight_delays/__init__.py",
        ):
            (scratch / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, scratch / path)
        text = replace_marked(pyproject, lambda part, lines: lines if kept.get(part, True) else "")
        (scratch / "pyproject.toml").write_text(text)
        subprocess.run([uv.find_uv_bin(), "lock", "--quiet"], cwd=scratch, check=True)
        return (scratch / "uv.lock").read_text()
