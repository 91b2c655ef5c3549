import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from example.contracts import Inputs
from example.factories import arrays_of

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.export.compiled import compiler
from kedro_mlops.runtime.encoding import encode_rows
from kedro_mlops.runtime.serving_spec import TREES
from kedro_mlops.runtime.trees import MIN_EXPLAINED_A_THREAD, MIN_ROWS_A_THREAD, Trees


@pytest.fixture(scope="module")
def matrix(released, real_rows):
    return encode_rows(arrays_of(real_rows, Columns.of(Inputs)), released[1].encoding)


@pytest.fixture(scope="module")
def expected(boosted, matrix):
    return boosted.estimator[-1].predict_proba(matrix)[:, 1]


@pytest.fixture
def trees(released):
    folder, spec = released
    return Trees(folder / TREES, spec.encoding.width)


def test_probabilities_are_those_of_scikit_learn(trees, matrix, expected):
    assert len(set(expected)) > 50
    np.testing.assert_array_equal(trees.predict(matrix), expected)


def test_single_rows_get_the_very_same_as_tables(trees, matrix):
    predict = trees.row_predictor()

    singly = [predict(row) for row in matrix.tolist()]

    assert singly == trees.predict(matrix).tolist()


@pytest.mark.parametrize("n_rows", [1, MIN_ROWS_A_THREAD * 2 - 1, MIN_ROWS_A_THREAD * 7 + 3])
def test_threads_share_a_table_and_change_nothing(released, matrix, trees, n_rows):
    folder, spec = released
    many = np.resize(matrix, (n_rows, spec.encoding.width))

    shared = Trees(folder / TREES, spec.encoding.width, n_threads=4).predict(many)

    np.testing.assert_array_equal(shared, trees.predict(many))


def test_tables_may_come_from_several_threads_at_once(released, matrix, trees):
    folder, spec = released
    many = np.resize(matrix, (5_000, spec.encoding.width))
    expected = trees.predict(many)
    shared = Trees(folder / TREES, spec.encoding.width, n_threads=2)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: shared.predict(many), range(8)))

    assert all((one == expected).all() for one in found)


def test_a_table_in_another_order_of_memory_is_read_alike(trees, matrix):
    np.testing.assert_array_equal(trees.predict(np.asfortranarray(matrix)), trees.predict(matrix))


@pytest.mark.parametrize("payload", [0, 1, 0xFFFFFFFF])
def test_every_nan_is_a_missing_value(trees, matrix, payload):
    nan = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0000 | payload))[0]
    holes = np.full_like(matrix[:1], nan)

    assert trees.predict(holes) == trees.predict(np.full_like(matrix[:1], np.nan))


def test_no_rows_have_no_probabilities(trees, matrix):
    assert trees.predict(matrix[:0]).shape == (0,)


@pytest.mark.parametrize("content", [b"", b"MZ of another system", None])
def test_a_library_of_another_machine_is_refused_with_the_next_step(released, tmp_path, content):
    library = tmp_path / TREES
    if content is None:
        # the same file, but for the machine that its header names
        whole = bytearray((released[0] / TREES).read_bytes())
        whole[18:20] = b"\xf3\x00"
        content = bytes(whole)
    library.write_bytes(content)

    with pytest.raises(ProjectError, match=rf"{TREES} cannot be used here.*pipelines=release"):
        Trees(library, 3)


def test_a_library_without_the_function_is_refused(tmp_path):
    import _ctypes

    with pytest.raises(ProjectError, match=r"cannot be used here.*probabilities"):
        Trees(_ctypes.__file__, 3)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A library as versions before ``predict`` compiled it: one column, of which it adds one."""
    folder = tmp_path_factory.mktemp("earlier")
    (folder / "trees.c").write_text(
        "#include <stddef.h>\n"
        "void probabilities(const double *rows, size_t n_rows, double *out) {\n"
        "  for (size_t r = 0; r < n_rows; ++r) out[r] = rows[r] + 1;\n"
        "}\n"
    )
    subprocess.run([compiler(), "-shared", "-fPIC", "-o", TREES, "trees.c"], cwd=folder, check=True)
    return Trees(folder / TREES, 1)


def test_what_an_earlier_version_compiled_predicts(earlier):
    assert earlier.n_outputs == 1
    assert earlier.predict(np.array([[1.0], [2.0]])).tolist() == [2.0, 3.0]
    assert earlier.row_predictor()([3.0]) == 4.0


@pytest.mark.parametrize(
    "ask",
    [
        lambda trees: trees.raw(np.zeros((1, 1))),
        lambda trees: trees.contributions(np.zeros((1, 1))),
        lambda trees: trees.row_explainer(),
    ],
)
def test_of_what_an_earlier_version_compiled_no_more_is_known(earlier, ask):
    with pytest.raises(ProjectError, match=r"as an earlier version compiled it.*pipelines=release"):
        ask(earlier)


def test_contributions_add_up_to_the_raw_score(trees, boosted, matrix):
    found = trees.contributions(matrix)

    assert found.shape == (len(matrix), matrix.shape[1] + 1)
    raw = boosted.estimator[-1].decision_function(matrix)
    np.testing.assert_allclose(found.sum(axis=1), raw, rtol=0, atol=1e-9)
    # of the columns, not of the base value alone
    assert (found[:, :-1].std(axis=0) > 0.01).sum() > 3
    assert len(set(found[:, -1])) == 1


def test_single_rows_are_explained_as_tables_are(trees, matrix):
    explain = trees.row_explainer()

    assert [explain(row) for row in matrix.tolist()] == trees.contributions(matrix).tolist()


def test_threads_share_the_rows_to_explain_and_change_nothing(released, matrix, trees):
    folder, spec = released
    many = np.resize(matrix, (MIN_EXPLAINED_A_THREAD * 3 + 1, spec.encoding.width))

    shared = Trees(folder / TREES, spec.encoding.width, n_threads=3).contributions(many)

    np.testing.assert_array_equal(shared, trees.contributions(many))


def test_no_rows_have_no_contributions(trees, matrix):
    assert trees.contributions(matrix[:0]).shape == (0, matrix.shape[1] + 1)
