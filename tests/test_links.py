"""What the pages link to and name: that it is there; and that what they list is what there is."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise

import pytest

from kedro_mlops.serving.settings import Settings

OWNER = "flight_delays"
PAGES = (
    "*.md", "docs/*.md", "deploy/**/README.md", "packages/*/README.md", "packages/*/CHANGELOG.md",
)  # fmt: skip
# what a page tells its reader to make
READERS = {
    "conf/base/catalog_rush_hours.yml",
    "conf/base/parameters_rush_hours.yml",
    "src/flight_delays/pipelines/modelling/nodes.py",
    "src/flight_delays/pipelines/scoring/nodes.py",
}
SUFFIXES = "c|html|ipynb|j2|json|jsonl|md|parquet|prom|py|toml|yaml|yml"


@pytest.fixture(scope="module")
def root(pytestconfig):
    return pytestconfig.rootpath


@pytest.fixture(scope="module")
def tracked(root):
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return set(listed.stdout.split("\0"))


@pytest.fixture(scope="module")
def made(root):
    """The text of all that makes files."""
    sources = [*root.glob("conf/**/*.yml"), *root.glob("packages/*/src/**/*.py")]
    return "\n".join(path.read_text() for path in sources)


def pages(root):
    return sorted({page for pattern in PAGES for page in root.glob(pattern)})


def prose(page):
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def links(page):
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def anchors(page):
    """The headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_nowhere(link, page):
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    if not target.exists():
        return True
    return bool(anchor) and anchor not in anchors(target)


def test_every_link_leads_somewhere(root):
    found = {(page, link) for page in pages(root) for link in links(page) if ":" not in link}

    nowhere = [(page.name, link) for page, link in found if leads_nowhere(link, page)]

    assert len(found) > 20
    assert nowhere == []


@pytest.mark.parametrize(
    ("link", "nowhere"),
    [
        ("docs/serving.md", False),
        ("docs/serving.md#a-challenger-on-live-traffic", False),
        ("#where-things-live", False),
        ("docs/watching.md", True),
        ("docs/serving.md#a-challenger-on-live", True),
        ("#where-things-lie", True),
    ],
)
def test_the_search_for_links_that_lead_nowhere_finds_them(root, link, nowhere):
    assert leads_nowhere(link, root / "README.md") == nowhere


def named(page):
    """The files that a page names."""
    return re.findall(rf"`([\w./*<>-]*[\w*]\.(?:{SUFFIXES}))`", prose(page))


def is_there(name, page, tracked, made):
    there = re.compile(r"(.*/)?" + re.escape(name).replace(r"\*", "[^/]*").replace("<name>", ".*"))
    own = page.parent.name + "/" + name
    return (
        any(there.fullmatch(path) or path.endswith(own) for path in tracked)
        or name.removeprefix("data/").removeprefix("replay/").rpartition("*")[2] in made
    )


def written(page):
    """The files whose content a page gives, for an owner to write."""
    return set(re.findall(r"`([\w./]+)`[^`]*?:\n\n```", page.read_text()))


def test_every_file_that_a_page_names_is_there_or_is_made(root, tracked, made):
    found = {
        (page, name) for page in pages(root) for name in named(page) if name not in written(page)
    }

    missing = {name for page, name in found if not is_there(name, page, tracked, made)}

    assert len(found) > 50
    assert missing - READERS == set()


def test_what_a_reader_is_told_to_make_is_not_there_yet(root):
    text = "\n".join(page.read_text() for page in pages(root))

    assert [path for path in READERS if (root / path).exists()] == []
    assert [path for path in READERS if path not in text] == []


def test_the_readme_is_short(root):
    assert len((root / "README.md").read_text().splitlines()) < 250


def test_the_picture_of_the_rooms_is_the_one_that_is_enforced(root):
    page = (root / "docs/architecture.md").read_text()
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    [layers] = [c["layers"] for c in contracts["contracts"] if c["type"] == "layers"]

    [picture] = re.findall(r"^```\n(cli .*?)^```", page, re.DOTALL | re.MULTILINE)

    floors = [re.split(r" {2,}", line)[0] for line in picture.splitlines() if line[0] != " "]
    assert [re.split(" │ ", floor) for floor in floors] == [re.split(r" \| ", x) for x in layers]
    # and the arrows are between them
    lines = picture.splitlines()
    assert all((above[0] == " ") != (below[0] == " ") for above, below in pairwise(lines))


def test_the_part_that_is_ejected_is_wired_as_the_page_says(root, tmp_path):
    page = (root / "docs/architecture.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    [diff] = re.findall(r"^```diff\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    shutil.copytree(root / "src" / OWNER, tmp_path / OWNER)
    folder = tmp_path / OWNER / "pipelines/modelling"
    wiring = (folder / "pipeline.py").read_text()

    imported, import_, node, wired = (line[1:] for line in diff.splitlines())
    assert imported + "\n" in wiring
    assert node + "\n" in wiring
    wiring = wiring.replace(imported + "\n", "").replace(node, wired)
    wiring = wiring.replace("WINDOWS =", import_ + "\n\nWINDOWS =", 1)
    (folder / "pipeline.py").write_text(wiring)
    (folder / "nodes.py").write_text(code)
    asked = (
        f"from {OWNER}.pipelines.modelling import create_pipeline as c;"
        "print(c().filter(node_names=['modelling.choose_rule']).nodes[0].func.__module__)"
    )
    # coverage is of the project, not of a copy that is gone when it is told
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env=environment | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == f"{OWNER}.pipelines.modelling.nodes", done.stderr


def test_the_settings_are_listed_with_their_defaults(root):
    page = (root / "docs/serving.md").read_text()
    [table] = re.findall(r"^\| variable .*?\n\|.*?\n(.*?)\n\n", page, re.DOTALL | re.MULTILINE)
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()]

    told = {name: text for names, text in rows for name in re.findall(r"`(\w+)`", names)}

    defaults = {name.upper(): getattr(Settings(), name) for name in Settings.__struct_fields__}
    assert told.keys() == defaults.keys()
    for name, default in defaults.items():
        if isinstance(default, int | float) or (default and "/" not in default):
            assert re.match(rf"`?{re.escape(str(default))}\b", told[name]), name
