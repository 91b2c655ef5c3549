"""Which code a definition is made of, by two small packages that are read and never imported."""

import py_compile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from zipfile import ZipFile

import pytest

from kedro_mlops.incremental import code_index
from kedro_mlops.incremental.code_index import CodeIndex, Place, UnknownError, is_installed

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
    "tools/sql/deep/q.sql": "select 1",
    "tools/data/__init__.py": "",
    "tools/data/prices.csv": "1",
    "tools/other/__init__.py": "",
    "tools/other/code.py": "",
    "tools/other/page.html": "<p>",
    'shop/kinds.py': '''
from math import floor as rounded
import colorsys
import shop.listed
from shop.base import Kind, Meta
from shop.registry import ALL, keep

FOUND = []


def sold():
    return FOUND


def first(x):
    return rounded(x)


def made():
    return Kind.of_subclasses()


def loaded():
    from shop import late_listed

    return load("shop.prices.alone")


def chosen(name):
    return load(f"shop.ways.{name}")


def formatted(name):
    return load("shop.ways.{}.go".format(name))


def lazily():
    from shop.lazy import dig

    return dig()


def named():
    return globals()["LIST" + "ED"]


class Apple(Kind):
    price = 1


class Pear(metaclass=Meta):
    price = 2


class Plum:
    ALL.append("plum")


class Fig:
    @keep
    def ripe(self):
        return 1


_kept = keep(lambda: "lemon")
LISTED = 5
FOUND.append("one")
FOUND.append("two")
''',
    'shop/base.py': '''
class Kind:
    known = []

    def __init_subclass__(cls):
        Kind.known.append(cls)

    @classmethod
    def of_subclasses(cls):
        return cls.__subclasses__()


class Meta(type):
    pass
''',
    "shop/ways/__init__.py": "",
    "shop/lazy/__init__.py": "__getattr__, __all__ = attach(__name__, {'deep': ['dig']})\n",
    "shop/lazy/deep.py": "def dig():\n    return 1\n",
    "shop/ways/fast.py": "def go():\n    return 1\n",
    "shop/listed.py": "from .registry import ALL\n\nALL.append(1)\n",
    "shop/late_listed.py": "from .registry import ALL\n\nALL.append(2)\n",
    "shop/elsewhere.py": "from .base import Kind\n\n\nclass Nut(Kind):\n    price = 7\n",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
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


@pytest.mark.parametrize(
    ("file", "before", "after", "function"),
    [
        ("tools/sql/deep/q.sql", "select 1", "select 2", "shop.prices.price"),
        ("tools/data/prices.csv", "1", "2", "shop.prices.price"),
        ("shop/kinds.py", "floor as rounded", "ceil as rounded", "shop.kinds.first"),
        # what a module does when it is imported
        ("shop/kinds.py", "import colorsys", "import cmath", "shop.kinds.sold"),
        ("shop/kinds.py", 'D.append("one")\nFOUND.append("two")',
            'D.append("two")\nFOUND.append("one")', "shop.kinds.sold"),
        ("shop/kinds.py", '"lemon"', '"lime"', "shop.kinds.sold"),
        ("shop/kinds.py", '"plum"', '"prune"', "shop.kinds.sold"),
        ("shop/kinds.py", "return 1", "return 2", "shop.kinds.sold"),
        ("shop/kinds.py", "price = 1", "price = 3", "shop.kinds.sold"),
        ("shop/kinds.py", "price = 2", "price = 3", "shop.kinds.sold"),
        ("shop/listed.py", "append(1)", "append(3)", "shop.kinds.sold"),
        ("shop/late_listed.py", "append(2)", "append(3)", "shop.kinds.loaded"),
        # what is looked up
        ("shop/elsewhere.py", "price = 7", "price = 8", "shop.kinds.made"),
        ("shop/prices.py", "math.floor(1.5)", "math.ceil(1.5)", "shop.kinds.loaded"),
        ("shop/ways/fast.py", "return 1", "return 2", "shop.kinds.chosen"),
        ("shop/ways/fast.py", "return 1", "return 2", "shop.kinds.formatted"),
        ("shop/lazy/deep.py", "return 1", "return 2", "shop.kinds.lazily"),
        ("shop/kinds.py", "LISTED = 5", "LISTED = 6", "shop.kinds.named"),
    ],
)  # fmt: skip
def test_what_a_function_is_made_of_without_naming_it_counts(
    folder: Path, file: str, before: str, after: str, function: str
) -> None:
    module, _, name = function.rpartition(".")
    known = _digests(folder, name, module)
    source = (folder / file).read_text()
    assert before in source

    (folder / file).write_text(source.replace(before, after))

    assert _digests(folder, name, module) != known


def test_files_beside_the_code_of_another_package_do_not_count(folder: Path) -> None:
    known = _digests(folder, "price")

    (folder / "tools/other/page.html").write_text("<b>")

    assert _digests(folder, "price") == known


@pytest.mark.parametrize("file", ["local_tools/__init__.py", "local_tool.py", "local_ns/inner.py"])
def test_a_package_that_is_not_installed_is_read_as_it_is_come_upon(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.syspath_prepend(folder)
    module = file.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("def pick():\n    return 1\n")
    (folder / "shop/picks.py").write_text(f"import {module} as m\n\ndef f():\n    m.pick()\n")
    known = _digests(folder, "f", "shop.picks")
    index = CodeIndex({"shop": folder / "shop"})

    (folder / file).write_text("def pick():\n    return 2\n")
    found = index.digests([Place("shop.picks", "f")])

    assert {module, "shop.picks"} <= set(found)
    assert found[module] != known[module]
    assert index.read() == sorted({"shop", module.partition(".")[0]})


@pytest.mark.parametrize("hidden", ["outer_code", "inner_code"])
@pytest.mark.parametrize("packed", ["compiled", "extension", "within a package", "zip"])
def test_of_code_without_its_source_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str, packed: str
) -> None:
    (tmp_path / "outer_code.py").write_text("from inner_code import g\n\n\ndef f():\n    g()\n")
    (tmp_path / "inner_code.py").write_text("def g():\n    return 1\n")
    source = tmp_path / f"{hidden}.py"
    if packed == "extension":
        source.with_suffix(EXTENSION_SUFFIXES[0]).touch()  # comes before a source
    elif packed == "zip":
        with ZipFile(tmp_path / "code.zip", "w") as file:
            file.write(source, f"{hidden}/__init__.py")
        source.unlink()
        monkeypatch.syspath_prepend(tmp_path / "code.zip")
    else:
        to = source.with_suffix(".pyc")
        if packed == "within a package":
            to = tmp_path / hidden / "__init__.pyc"
        py_compile.compile(str(source), cfile=str(to), doraise=True)
        source.unlink()
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(UnknownError, match=f"the source of {hidden}"):
        CodeIndex({}).digests([Place("outer_code", "f")])


def test_of_a_namespace_only_what_is_not_installed_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = folder / "site-packages"
    monkeypatch.setattr(code_index, "folders_of_packages", lambda: [str(installed)])
    for where, name in ((installed, "theirs"), (folder, "ours")):
        (where / "split_ns").mkdir(parents=True)
        (where / f"split_ns/{name}.py").write_text("def f():\n    return 1\n")
        monkeypatch.syspath_prepend(where)
    index = CodeIndex({})

    places = [Place(f"split_ns.{name}", "f") for name in ("theirs", "ours")]
    assert set(index.digests(places)) == {"split_ns.ours"}


def test_what_is_installed_is_not_read(folder: Path) -> None:
    index = CodeIndex({"shop": folder / "shop"})

    assert [name for name in ("pandas", "json", "sys", "nowhere") if index.has(name)] == []
    assert [name for name in ("pandas", "json", "sys", "nowhere") if is_installed(name)] == [
        "pandas", "json", "sys",
    ]  # fmt: skip


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


def test_classes_of_many_bases_are_read_to_an_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = ["class A0: pass\nclass B0: pass\n"]
    pairs += [
        f"class A{n}(A{n - 1}, B{n - 1}): pass\nclass B{n}(A{n - 1}, B{n - 1}): pass\n"
        for n in range(1, 20)
    ]
    (folder / "shop/pairs.py").write_text("".join(pairs))
    looks, resolve = iter(range(20_000)), CodeIndex._resolve

    def counted(index: CodeIndex, path: str) -> object:
        assert next(looks, None) is not None, "it is looked at again and again"
        return resolve(index, path)

    monkeypatch.setattr(CodeIndex, "_resolve", counted)

    assert set(_digests(folder, "A1", "shop.pairs")) == {"shop", "shop.pairs"}


RATE, OTHER_RATE = "def rate():\n    return 1\n", "def rate():\n    return 9\n"
REGISTRY = "ALL = []\n\n\ndef keep(x):\n    ALL.append(x)\n    return x\n"


@pytest.mark.parametrize(
    "source",
    [
        # a name that several are bound to
        "try:\n    from .fast import rate\nexcept ImportError:\n    from .slow import rate\n"
        "def f(): return rate()\n",
        "if HERE:\n    import shop.fast as m\nelse:\n    import shop.slow as m\n"
        "def f(): return m.rate()\n",
        "def f(k):\n    if k:\n        from .fast import rate\n    else:\n"
        "        from .slow import rate\n    return rate()\n",
        "from .slow import rate\ndef f():\n    from .fast import rate\n    return rate()\n",
        "from .fast import rate\nrate = rate()\ndef f(): return rate\n",
        "class K:\n    from .fast import rate\ndef f(): return K.rate()\n",
        "class K:\n    if HERE:\n        from .fast import rate\ndef f(): return K.rate()\n",
        # what is looked up
        "def f(): return import_module('.fast', __package__).rate()\n",
        "def f(): return import_module('.fast', 'shop').rate()\n",
        "def f(): return import_module('..fast', package='shop.ways').rate()\n",
        "def f(): return import_module('outside').rate()\n",
        "import shop\ndef f(): return getattr(shop, 'fast').rate()\n",
        "import shop\ndef f(): return getattr(shop.fast, 'rate')()\n",
        "def f(): return load('shop.fast.rate, shop.slow.rate')\n",
        f"PATHS = '{'shop.slow.rate ' * 20} shop.fast.rate'\ndef f(): return PATHS\n",
    ],
)  # fmt: skip
def test_whatever_a_name_or_a_text_may_lead_to_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shop/ways").mkdir(parents=True)
    for name in ("shop/__init__.py", "shop/ways/__init__.py"):
        (tmp_path / name).touch()
    for name in ("shop/fast.py", "shop/slow.py", "outside.py"):
        (tmp_path / name).write_text(RATE)
    (tmp_path / "shop/part.py").write_text(source)
    index = CodeIndex({"shop": tmp_path / "shop"})
    known = index.digests([Place("shop.part", "f")])

    for name in ("shop/fast.py", "outside.py"):
        (tmp_path / name).write_text(OTHER_RATE)

    index = CodeIndex({"shop": tmp_path / "shop"})
    assert index.digests([Place("shop.part", "f")]) != known


@pytest.mark.parametrize(
    "source",
    [
        # what is bound by an import and defined, too
        "from .base import limit\nlimit = 1\ndef f(): return limit\n",
        "from .base import f\ndef f(): return 1\n",
        # what is kept as the module is imported
        "class A:\n    x = keep(1)\ndef f(): return ALL\n",
        "class A:\n    class B:\n        x: int = keep(1)\ndef f(): return ALL\n",
        "class A:\n    def g(self, a=keep(1)): ...\ndef f(): return ALL\n",
        "def g(a=keep(1)): return a\ndef f(): return ALL\n",
        "def g(*, a: keep(1) = None): return a\ndef f(): return ALL\n",
        "g = lambda a=keep(1): a\ndef f(): return ALL\n",
        "from .base import cache\n@cache\ndef g(): return 1\ndef f(): return ALL\n",
        "from .base import wraps\n@wraps()\nclass A:\n    x = 1\ndef f(): return ALL\n",
        # what is found by its name
        "import sys\ndef g(): return 1\ndef f(n): return getattr(sys.modules[__name__], n)()\n",
        "def g(): return 1\ndef f(n): return eval(n + '()')\n",
    ],
)
def test_whatever_a_definition_may_be_made_of_within_its_module_counts(
    tmp_path: Path, source: str
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").touch()
    (tmp_path / "shop/base.py").write_text("limit = f = cache = wraps = None\n")
    (tmp_path / "shop/registry.py").write_text(REGISTRY)
    part = tmp_path / "shop/part.py"
    part.write_text(f"from .registry import ALL, keep\n{source}")
    known = _digests(tmp_path, "f", "shop.part")

    part.write_text(part.read_text().replace("1", "2"))

    assert _digests(tmp_path, "f", "shop.part") != known


def test_what_the_engine_is_called_with_it_does_not_keep(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").touch()
    contracts = tmp_path / "shop/contracts.py"
    contracts.write_text(
        "from kedro_mlops.contract.columns import Contract, column\n\n\n"
        "class Orders(Contract):\n    amount: int = column('', ge=1)\n\n\n"
        "class Prices(Contract):\n    price: int = column('', ge=2)\n"
    )
    engine = Path(code_index.__file__).parents[1]

    def digests(name: str) -> dict[str, str]:
        index = CodeIndex({"shop": tmp_path / "shop", "kedro_mlops": engine})
        return index.digests([Place("shop.contracts", name)])

    known = {name: digests(name) for name in ("Orders", "Prices")}

    contracts.write_text(contracts.read_text().replace("ge=2", "ge=3"))

    assert digests("Orders") == known["Orders"]
    assert digests("Prices") != known["Prices"]


def test_a_package_may_define_what_a_module_in_it_is_called(folder: Path) -> None:
    (folder / "shop/asking.py").write_text("from shop import rates\n\n\ndef f():\n    rates()\n")
    (folder / "shop/__init__.py").write_text("def rates():\n    return 1\n")
    known = _digests(folder, "f", "shop.asking")

    (folder / "shop/__init__.py").write_text("def rates():\n    return 2\n")

    assert _digests(folder, "f", "shop.asking") != known
