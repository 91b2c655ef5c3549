"""Which code a definition is made of, by two small packages that are read and never imported."""

from pathlib import Path

import pytest

from kedro_mlops.incremental.code_index import CodeIndex, Place

SOURCES = {
    "shop/__init__.py": "",
    "shop/prices.py": '''
import math
from functools import cache
from typing import TYPE_CHECKING

import tools
from tools import rounding as r
from .registry import keep
from .rates import *

if TYPE_CHECKING:
    from tools.kinds import Money

LIMIT = 10


def price(amount: "Money") -> float:
    """Of what is sold."""
    return r.to_cents(amount) + LIMIT


def late(amount: float) -> float:
    from tools.slow import compute

    return compute(amount)


def reach(amount: float) -> float:
    return tools.rounding.to_cents(amount)


def starred(amount: float) -> float:
    return amount * RATE


def alone() -> int:
    return math.floor(1.5)


@cache
def kept() -> int:
    return 1


@keep
def registered() -> int:
    return 2
''',
    'shop/registry.py': '''
ALL = []


def keep(function):
    ALL.append(function)
    return function
''',
    "shop/rates.py": "RATE = 2\n",
    "tools/__init__.py": "from . import rounding\n",
    'tools/rounding.py': '''
DIGITS = 2


def to_cents(x):
    return round(x, DIGITS)


def other():
    return 0
''',
    "tools/slow.py": "def compute(x):\n    return x\n",
    "tools/kinds.py": "class Base:\n    pass\n\n\nclass Money(Base):\n    pass\n",
    "tools/table.sql": "select 1",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def _digests(folder: Path, name: str, module: str = "shop.prices") -> dict[str, str]:
    index = CodeIndex({package: folder / package for package in ("shop", "tools")})
    return index.digests([Place(module, name)])


CASES = [
    # what is edited, from and to, and which functions see it
    ("shop/prices.py", "LIMIT = 10", "LIMIT = 11", ["price"]),
    ("shop/prices.py", "math.floor(1.5)", "math.ceil(1.5)", ["alone"]),
    ("shop/prices.py", "+ LIMIT", "+ LIMIT  # not more", []),
    ("shop/prices.py", "return 1", "return 3", ["kept"]),
    ("tools/rounding.py", "DIGITS = 2", "DIGITS = 3", ["price", "reach"]),
    ("tools/rounding.py", "return 0", "return 1", []),
    ("tools/slow.py", "return x", "return -x", ["late"]),
    ("tools/kinds.py", "class Base:\n    pass", "class Base:\n    unit = 1", ["price"]),
    ("shop/rates.py", "RATE = 2", "RATE = 3", ["starred"]),
    ("tools/table.sql", "select 1", "select 2", ["price", "reach", "late"]),
]  # fmt: skip
FUNCTIONS = ["price", "late", "reach", "starred", "alone", "kept"]


@pytest.mark.parametrize(("file", "before", "after", "seen_by"), CASES, ids=lambda c: str(c)[:20])
def test_a_function_is_another_one_where_what_it_is_made_of_is(
    folder: Path, file: str, before: str, after: str, seen_by: list[str]
) -> None:
    known = {name: _digests(folder, name) for name in FUNCTIONS}
    source = (folder / file).read_text()
    assert before in source

    (folder / file).write_text(source.replace(before, after))

    changed = {name for name in FUNCTIONS if _digests(folder, name) != known[name]}
    assert changed.issuperset(seen_by)
    if file.endswith(".py") and "rates" not in file:  # of a star, and of files beside, all may be
        assert changed == set(seen_by)


def test_what_a_decorator_may_have_kept_counts_for_all_of_its_module(folder: Path) -> None:
    known = _digests(folder, "alone")
    file = folder / "shop/prices.py"

    file.write_text(file.read_text().replace("return 2", "return 4"))

    assert _digests(folder, "alone") != known


def test_of_a_name_that_leads_nowhere_all_of_the_module_counts(folder: Path) -> None:
    known = _digests(folder, "made_by_setattr")
    file = folder / "shop/prices.py"

    file.write_text(file.read_text().replace("math.floor", "math.ceil"))

    assert _digests(folder, "made_by_setattr") != known


def test_modules_that_import_each_other_are_read_to_an_end(folder: Path) -> None:
    (folder / "shop/a.py").write_text("from shop.b import x as y\n\n\ndef x():\n    return y()\n")
    (folder / "shop/b.py").write_text("from shop.a import y as x\n\n\ndef f():\n    return x()\n")

    assert set(_digests(folder, "f", "shop.b")) >= {"shop.a", "shop.b"}
