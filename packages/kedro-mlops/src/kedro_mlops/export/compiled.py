"""Boosted trees as C: ``trees.c`` and the model, compiled to a library that answers alike.

For 10,000 rows of 220 trees with 35 leaves each, one core took 3.8 ms; the same trees as nested
conditions (tl2cgen) 46 ms, as ONNX 37 ms, scikit-learn 60 ms.
"""

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
# what has to fit into a byte
MAX_COLUMNS, MAX_THRESHOLDS, MAX_LEAVES = 128, 254, 256
# trees that a single row is walked down at a time
ABREAST = 4
# no numbers are contracted or reordered: sums are to be those of scikit-learn
FLAGS = ("-O3", "-ffp-contract=off", "-shared", "-fPIC")


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


class _Tree(NamedTuple):
    splits: list[_Split]
    leaves: list[float]


# both ways lead to the same leaf
_NOTHING = _Split(codes=0, threshold=0, leaf=0, next=(-1, -1))


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
    thresholds = [
        np.unique(inner["num_threshold"][inner["feature_idx"] == column]) for column in range(width)
    ]
    if width > MAX_COLUMNS or max(map(len, thresholds)) > MAX_THRESHOLDS:
        raise NotEqualError(
            f"There are more than {MAX_COLUMNS} columns, or {MAX_THRESHOLDS} thresholds of one."
        )
    trees: list[_Tree] = []
    for predictors in zip(*model._predictors, strict=True):
        trees += [_tree(predictor.nodes, thresholds) for predictor in predictors]
        trees += [_Tree([_NOTHING], [0.0, 0.0])] * (-len(predictors) % ABREAST)
    baselines = model._baseline_prediction.ravel().tolist()
    filled = [[*found.tolist(), *[np.inf] * (255 - len(found))] for found in thresholds]
    return "\n".join(
        [
            f"#define WIDTH {width}",
            f"#define ABREAST {ABREAST}",
            f"#define N_OUTPUTS {len(baselines)}",
            f"#define N_TREES {len(trees) // len(baselines)}",
            f"#define LINK {LINKS[link]}",
            _array("double", "baselines", map(_number, baselines)),
            _array("double", "thresholds", [_braces(map(_number, row)) for row in filled], "[255]"),
            _array("Split", "splits", [str(split) for tree in trees for split in tree.splits]),
            _array("double", "leaves", [_number(leaf) for tree in trees for leaf in tree.leaves]),
            _array("int", "first_split", _starts(len(tree.splits) for tree in trees)),
            _array("int", "first_leaf", _starts(len(tree.leaves) for tree in trees)),
        ]
    )


def _tree(nodes: NDArray[Any], thresholds: list[NDArray[np.float64]]) -> _Tree:
    """A tree, grown again: rows beyond a threshold go to a new leaf, the others stay.

    Args:
        nodes: As scikit-learn has them, parents before children.
        thresholds: Of every column, sorted.
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
            codes=2 * node["feature_idx"] + (not node["missing_go_to_left"]),
            threshold=np.searchsorted(thresholds[node["feature_idx"]], node["num_threshold"]),
            leaf=leaf[number],
            next=(place[node["left"]], place[node["right"]]),
        )
        for number, node in zip(inner, nodes[inner], strict=True)
    ]
    if not splits:
        return _Tree([_NOTHING], nodes["value"].tolist() * 2)
    return _Tree(splits, nodes["value"][is_leaf][np.argsort(leaf[is_leaf])].tolist())


def _starts(lengths: Iterable[int]) -> list[str]:
    return [str(start) for start in np.cumsum([0, *lengths])]


def _number(value: float) -> str:
    """A number as C reads it, to the last bit."""
    return repr(value).replace("inf", "INFINITY")


def _braces(items: Iterable[str]) -> str:
    return f"{{{','.join(items)}}}"


def _array(kind: str, name: str, items: Iterable[str], inner: str = "") -> str:
    return f"static const {kind} {name}[]{inner} = {_braces(items)};"
