"""Boosted trees as C: ``trees.c`` and the model, compiled to a library that answers alike.

For 10,000 rows of 220 trees with 35 leaves each, one core took 3.8 ms; the same trees as nested
conditions (tl2cgen) 46 ms, as ONNX 37 ms, scikit-learn 60 ms.
"""

import itertools
import math
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

COMPILERS = ("cc", "gcc", "clang")
SOURCE = Path(__file__).with_name("trees.c")
# what has to fit into a byte; and columns whose codes have to fit on the stack
MAX_THRESHOLDS, MAX_LEAVES, MAX_COLUMNS = 254, 256, 4096
# trees that a single row is walked down at a time
ABREAST = 4
# points at which contributions are computed at a time: what every processor's registers hold
POINTS_TOGETHER = 2
# no numbers are contracted or reordered: sums are to be those of scikit-learn; and the speed of a
# loop (3 %) is not left to where it happens to lie
FLAGS = ("-O3", "-falign-loops=64", "-ffp-contract=off", "-shared", "-fPIC")


# what ``trees.c`` makes of raw scores, by the links of scikit-learn's losses
LINKS = {
    "IdentityLink": "IDENTITY",
    "LogLink": "LOG",
    "LogitLink": "LOGIT",
    "MultinomialLogit": "SOFTMAX",
}

Model: TypeAlias = HistGradientBoostingClassifier | HistGradientBoostingRegressor


class NotEqualError(Exception):
    """Why a model is not served as compiled trees."""


class _Split(NamedTuple):
    """As in ``trees.c``."""

    codes: int
    threshold: int
    leaf: int
    next: tuple[int, int]

    def __str__(self) -> str:
        return f"{{{self.codes},{self.threshold},{self.leaf},{{{self.next[0]},{self.next[1]}}}}}"


class _Branch(NamedTuple):
    """As in ``trees.c``."""

    entry: int
    before: int
    share_before: float
    share: list[float]
    value: list[float]

    def __str__(self) -> str:
        share, value = (_braces(map(_number, pair)) for pair in (self.share, self.value))
        return f"{{{self.entry},{self.before},{_number(self.share_before)},{share},{value}}}"


class _Tree(NamedTuple):
    """A tree as ``trees.c`` reads it.

    Attributes:
        splits: Parents before children.
        branches: One beside every split.
        leaves: The value of each.
        expected: The mean value of the training rows.
        n_columns: The most that are asked for on one path.
    """

    splits: list[_Split]
    branches: list[_Branch]
    leaves: list[float]
    expected: float
    n_columns: int


# both ways lead to the same leaf, and say nothing of a column
_NOTHING = _Split(codes=0, threshold=0, leaf=0, next=(-1, -1))
_NO_BRANCH = _Branch(entry=0, before=0, share_before=1.0, share=[0.5, 0.5], value=[0.0, 0.0])
_NO_TREE = _Tree([_NOTHING], [_NO_BRANCH], leaves=[0.0, 0.0], expected=0.0, n_columns=0)


def compiler() -> str | None:
    """The C compiler of this machine, if there is one."""
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def compile_trees(model: Model, width: int, library: Path) -> None:
    """Write a shared library, which ``runtime.trees`` calls.

    Args:
        model: The fitted model: a classifier of two classes, of which the second's probability is
            predicted, or of more, or a regressor.
        width: Number of columns that it reads.
        library: The file to write.

    Raises:
        NotEqualError: if the model has what ``trees.c`` does not know, or it cannot be compiled.
    """
    command = compiler()
    if command is None:
        raise NotEqualError("There is no C compiler here (cc, gcc or clang).")
    library.write_bytes(_compile(command, SOURCE.read_text(), _header(model, width)))


# in one run a candidate is measured, and then released
@lru_cache(maxsize=4)
def _compile(command: str, source: str, header: str) -> bytes:
    """The library that the compiler makes of ``trees.c`` and the model."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "model.h").write_text(header)
        (folder / "trees.c").write_text(source)
        arguments = [*FLAGS, "-o", "trees.so", "trees.c", "-lm"]
        try:
            subprocess.run(  # noqa: S603
                [command, *arguments], cwd=folder, capture_output=True, text=True, check=True
            )
            return (folder / "trees.so").read_bytes()
        except OSError as error:
            raise NotEqualError(f"`{command}` failed: {error}.") from error
        except subprocess.CalledProcessError as error:
            raise NotEqualError(f"`{command}` failed: {error.stderr.strip()[-500:]}") from error


def _header(model: Model, width: int) -> str:
    """The model as the C arrays that ``trees.c`` reads."""
    link = type(model._loss.link).__name__
    if link not in LINKS:
        raise NotEqualError(
            f"Compiled trees do not know the {link} of {type(model._loss).__name__}."
        )
    nodes = [predictor.nodes for predictors in model._predictors for predictor in predictors]
    if any(found["is_categorical"].any() for found in nodes):
        raise NotEqualError("The trees have categorical splits, not codes.")
    inner = np.concatenate([found[found["is_leaf"] == 0] for found in nodes])
    thresholds = _thresholds(inner["feature_idx"], inner["num_threshold"])
    places = {column: place for place, column in enumerate(thresholds)}
    trees: list[_Tree] = []
    baselines: list[float] = model._baseline_prediction.ravel().tolist()
    bases = []
    for baseline, predictors in zip(baselines, zip(*model._predictors, strict=True), strict=True):
        grown = [_tree(predictor.nodes, thresholds, places) for predictor in predictors]
        trees += [*grown, *[_NO_TREE] * (-len(grown) % ABREAST)]
        bases.append(baseline + sum(tree.expected for tree in grown))
    # n points are exact up to the degree 2n - 1, and the polynomials have n_columns - 1
    least = max(1, *(tree.n_columns for tree in trees)) / 2
    n_points = math.ceil(least / POINTS_TOGETHER) * POINTS_TOGETHER
    points, weights = np.polynomial.legendre.leggauss(n_points)
    filled = [_filled(found.tolist()) for found in thresholds.values()]
    return "\n".join(
        [
            f"#define WIDTH {width}",
            f"#define N_ASKED {len(thresholds)}",
            f"#define ABREAST {ABREAST}",
            f"#define N_OUTPUTS {len(baselines)}",
            f"#define N_TREES {len(trees) // len(baselines)}",
            f"#define LINK {LINKS[link]}",
            f"#define MAX_SPLITS {max(len(tree.splits) for tree in trees)}",
            f"#define POINTS_TOGETHER {POINTS_TOGETHER}",
            f"#define N_POINTS {n_points}",
            _numbers("baselines", baselines),
            _numbers("bases", bases),
            # from -1 to 1 they are given, from 0 to 1 they are needed
            _numbers("points", (points / 2 + 0.5).tolist()),
            _numbers("weights", (weights / 2).tolist()),
            _array("int", "asked", map(str, thresholds)),
            _numbers("thresholds", itertools.chain(*filled)),
            _array("int", "first_threshold", _starts(map(len, filled))),
            _array("Split", "splits", [str(split) for tree in trees for split in tree.splits]),
            _array("Branch", "branches", [str(one) for tree in trees for one in tree.branches]),
            _numbers("leaves", [leaf for tree in trees for leaf in tree.leaves]),
            _array("int", "first_split", _starts(len(tree.splits) for tree in trees)),
            _array("int", "first_leaf", _starts(len(tree.leaves) for tree in trees)),
        ]
    )


def _thresholds(
    columns: NDArray[np.integer], values: NDArray[np.float64]
) -> dict[int, NDArray[np.float64]]:
    """The thresholds of every column that splits ask for, sorted.

    Raises:
        NotEqualError: if there are more than ``trees.c`` has codes for.
    """
    found = {column: np.unique(values[columns == column]) for column in np.unique(columns).tolist()}
    if len(found) > MAX_COLUMNS or max(map(len, found.values()), default=0) > MAX_THRESHOLDS:
        raise NotEqualError(
            f"Trees ask for more than {MAX_COLUMNS:,} columns, or {MAX_THRESHOLDS} thresholds of "
            "one."
        )
    # a model without splits asks for none, and C has no empty arrays
    return found or {0: np.array([], dtype=np.float64)}


def _filled(thresholds: list[float]) -> list[float]:
    """One less than a power of two, so that each step of a search halves what is left."""
    n_places = 2 ** len(thresholds).bit_length() - 1
    return [*thresholds, *[math.inf] * (max(n_places, 1) - len(thresholds))]


def _tree(
    nodes: NDArray[Any], thresholds: dict[int, NDArray[np.float64]], places: dict[int, int]
) -> _Tree:
    """A tree, grown again: rows beyond a threshold go to a new leaf, the others stay.

    Args:
        nodes: As scikit-learn has them, parents before children.
        thresholds: Of every column that is asked for, sorted.
        places: Of these columns among each other.
    """
    is_leaf = nodes["is_leaf"].astype(bool)
    inner = np.flatnonzero(~is_leaf)
    if len(inner) >= MAX_LEAVES:
        raise NotEqualError(f"A tree has {len(inner) + 1:,} leaves, more than {MAX_LEAVES}.")
    leaf = np.zeros(len(nodes), dtype=int)
    for number, node in enumerate(nodes[inner]):
        leaf[node["left"]], leaf[node["right"]] = leaf[inner[number]], number + 1
    place = np.where(is_leaf, -1 - leaf, np.cumsum(~is_leaf) - 1).tolist()
    splits = [
        _Split(
            codes=2 * places[node["feature_idx"]] + (not node["missing_go_to_left"]),
            threshold=np.searchsorted(thresholds[node["feature_idx"]], node["num_threshold"]),
            leaf=leaf[number],
            next=(place[node["left"]], place[node["right"]]),
        )
        for number, node in zip(inner, nodes[inner], strict=True)
    ]
    values = nodes["value"][is_leaf]
    expected = float(np.average(values, weights=nodes["count"][is_leaf]))
    if not splits:
        return _NO_TREE._replace(leaves=values.tolist() * 2, expected=expected)
    branches, n_columns = _branches(nodes)
    leaves = values[np.argsort(leaf[is_leaf])].tolist()
    return _Tree(splits, branches, leaves, expected, n_columns)


def _branches(nodes: NDArray[Any]) -> tuple[list[_Branch], int]:
    """What contributions need of every split, and the most columns on one path.

    Args:
        nodes: As scikit-learn has them, parents before children; with the number of training rows
            in each, whatever these weighed.
    """
    branches: list[_Branch] = []
    # of a node: the way to it, and for each column on its path the last way and the share
    reached: dict[int, tuple[int, dict[int, tuple[int, float]]]] = {0: (0, {})}
    for number in np.flatnonzero(nodes["is_leaf"] == 0).tolist():
        node, (entry, path) = nodes[number], reached.pop(number)
        column, children = int(node["feature_idx"]), [int(node["left"]), int(node["right"])]
        before, share_before = path.get(column, (0, 1.0))
        share = (nodes["count"][children] / node["count"]).tolist()
        value = np.where(nodes["is_leaf"][children], nodes["value"][children], 1.0).tolist()
        for side, child in enumerate(children):
            way = 1 + 2 * len(branches) + side
            reached[child] = (way, {**path, column: (way, share_before * share[side])})
        branches.append(_Branch(entry, before, share_before, share, value))
    return branches, max(len(path) for _, path in reached.values())


def _starts(lengths: Iterable[int]) -> list[str]:
    return [str(start) for start in np.cumsum([0, *lengths])]


def _number(value: float) -> str:
    """A number as C reads it, to the last bit."""
    return repr(value).replace("inf", "INFINITY")


def _braces(items: Iterable[str]) -> str:
    return f"{{{','.join(items)}}}"


def _numbers(name: str, values: Iterable[float]) -> str:
    return _array("double", name, map(_number, values))


def _array(kind: str, name: str, items: Iterable[str], inner: str = "") -> str:
    return f"static const {kind} {name}[]{inner} = {_braces(items)};"
