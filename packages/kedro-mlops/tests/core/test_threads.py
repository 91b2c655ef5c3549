"""Numerical libraries have one thread each for a while."""

import sklearn.ensemble  # noqa: F401 - it brings OpenMP
from threadpoolctl import ThreadpoolController, threadpool_limits

from kedro_mlops.core.threads import one_thread


def n_threads(api):
    return {each["num_threads"] for each in ThreadpoolController().select(user_api=api).info()}


def test_libraries_have_one_thread_until_the_work_is_done():
    with threadpool_limits(2):
        with one_thread():
            assert n_threads("openmp") == {1}
            assert n_threads("blas") == {2}
        with one_thread(None):
            assert n_threads("openmp") == n_threads("blas") == {1}
        assert n_threads("openmp") == n_threads("blas") == {2}
