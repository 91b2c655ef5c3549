"""``uv.lock`` of a project that needs less than before: the same packages, without those."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

BLOCK = re.compile(r"(?=^\[\[package\]\]\r?\n)", re.MULTILINE)
NAME = re.compile(r"[A-Za-z0-9._-]+")


def without_unneeded(lock: str, before: str, after: str) -> str:
    """The lock as uv would write it, since nothing else than before is chosen.

    Args:
        lock: What ``uv.lock`` holds.
        before: What ``pyproject.toml`` did when it was locked.
        after: The same without some of its requirements.
    """
    gone = _required(before) - _required(after)
    head, *blocks = BLOCK.split(lock)
    members = set(tomllib.loads(head).get("manifest", {}).get("members", []))
    lines = re.compile(
        rf'^ +{{ name = "(?:{"|".join(map(re.escape, gone))})"[ ,].*\n', re.MULTILINE
    )
    root = _root(tomllib.loads(lock)["package"])
    kept = [lines.sub("", b) if gone and _package(b)["name"] == root else b for b in blocks]
    reached = _reached([_package(block) for block in kept], members or {root})
    return head + "".join(b for b in kept if _identity(_package(b)) in reached)


def _required(pyproject: str) -> set[str]:
    """The names of what is required, for whatever."""
    declared = tomllib.loads(pyproject)
    project = declared.get("project", {})
    lists = [
        project.get("dependencies", []),
        *project.get("optional-dependencies", {}).values(),
        *declared.get("dependency-groups", {}).values(),
    ]
    names = (NAME.match(each) for listed in lists for each in listed if isinstance(each, str))
    return {re.sub(r"[-_.]+", "-", found[0]).lower() for found in names if found}


def _root(packages: list[dict[str, Any]]) -> str:
    """The name of the project itself."""
    own = (p for p in packages if "." in (p["source"].get("editable"), p["source"].get("virtual")))
    return str(next(own)["name"])


def _package(block: str) -> dict[str, Any]:
    [package] = tomllib.loads(block)["package"]
    return dict(package)


def _identity(package: dict[str, Any]) -> tuple[str, str]:
    return package["name"], package.get("version", "")


def _reached(packages: list[dict[str, Any]], members: set[str]) -> set[tuple[str, str]]:
    """Which packages the members of the workspace need, directly or by others."""
    named: dict[str, list[dict[str, Any]]] = {}
    for package in packages:
        named.setdefault(package["name"], []).append(package)
    waiting = [package for member in members for package in named.get(member, [])]
    reached = {_identity(package) for package in waiting}
    while waiting:
        for needed in _needs(waiting.pop()):
            for package in named[needed["name"]]:
                is_that = needed.get("version", package.get("version")) == package.get("version")
                if is_that and _identity(package) not in reached:
                    reached.add(_identity(package))
                    waiting.append(package)
    return reached


def _needs(package: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from package.get("dependencies", [])
    for extra in ("optional-dependencies", "dev-dependencies"):
        for needed in package.get(extra, {}).values():
            yield from needed
