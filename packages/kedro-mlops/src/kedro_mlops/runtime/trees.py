"""Trees as machine code: compiled at release, called through the C interface.

The functions of the library take ``(rows, n_rows, out)``; they read rows of doubles, NaN where a
value is missing, and let go of Python's lock while they run.
"""

import ctypes
import itertools
import struct
import weakref
from _ctypes import dlclose, dlsym
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from kedro_mlops.core.errors import ProjectError

# fewer rows are not worth another thread
MIN_ROWS_A_THREAD, MIN_EXPLAINED_A_THREAD = 1000, 50

FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
# a function of the library
Compiled = Callable[[Any, int, Any], None]


class Trees:
    """Compiled trees.

    Args:
        library: The shared library.
        width: Number of columns that the trees read.
        n_threads: Threads that share the rows of a large table.

    Attributes:
        n_outputs: Numbers that are predicted for a row: one a class where there are more than two,
            otherwise one. Where it is one, arrays do without the axis of outputs.
    """

    def __init__(self, library: Path, width: int, n_threads: int = 1) -> None:
        self._path = library
        try:
            self._library = ctypes.CDLL(str(library))
            # it is mapped for as long as it or a function of it is there
            weakref.finalize(self._library, dlclose, self._library._handle).atexit = False
            # what an earlier version compiled has one function, and tells two classes
            is_of_now = self._has("predict")
            self._predict = self._function("predict" if is_of_now else "probabilities")
        except OSError as error:
            raise ProjectError(
                f"{library} cannot be used here: {error}. It was compiled for another kind of "
                "machine; release the champion again on this one: `kedro run --pipelines=release`."
            ) from error
        self.n_outputs = 1
        if is_of_now:
            self.n_outputs = ctypes.c_size_t.in_dll(self._library, "n_outputs").value
        self._width = width
        self._n_threads = n_threads
        # who asks does a part of it
        self._pool = ThreadPoolExecutor(n_threads - 1, "trees") if n_threads > 1 else None

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the model predicts, shape (n_rows,), or (n_rows, n_outputs) for several outputs.

        Of two classes that is the probability of the positive one, of more the probability of each;
        of a regressor, the quantity.
        """
        return self._call(self._predict, matrix, self._outputs, MIN_ROWS_A_THREAD)

    def raw(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sums of the trees, in the unit of the model's link, in the shape of ``predict``.

        Log-odds for two classes, unscaled log-probabilities for more; of a regressor, the quantity
        or, where its link is that, the logarithm of it.

        Raises:
            ProjectError: if an earlier version compiled the library.
        """
        return self._call(self._of_now("raw"), matrix, self._outputs, MIN_ROWS_A_THREAD)

    def contributions(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each column adds to the raw score: Shapley values, path-dependent (TreeSHAP).

        From Lundberg et al., 2020, "From local explanations to global understanding with
        explainable AI for trees"; ``trees.c`` tells how they are computed.

        Returns:
            Shape (n_rows, width + 1), or (n_rows, n_outputs, width + 1) for several outputs. At the
            end is the base value, the mean over the training rows. They add up to ``raw``, and have
            its unit.

        Raises:
            ProjectError: if an earlier version compiled the library.
        """
        function = self._of_now("contributions")
        return self._call(function, matrix, self._explained, MIN_EXPLAINED_A_THREAD)

    def row_predictor(self) -> Callable[[Sequence[float]], Any]:
        """A function for one row at a time, which does without arrays; not for several threads.

        It returns a number, or a list of them for several outputs.
        """
        return self._one_by_one(self._predict, self._outputs)

    def row_explainer(self) -> Callable[[Sequence[float]], list[Any]]:
        """``contributions`` of one row at a time, as a list; not for several threads.

        Raises:
            ProjectError: if an earlier version compiled the library.
        """
        return self._one_by_one(self._of_now("contributions"), self._explained)

    @property
    def _explained(self) -> tuple[int, ...]:
        return (*self._outputs, self._width + 1)

    @property
    def _outputs(self) -> tuple[int, ...]:
        return (self.n_outputs,) if self.n_outputs > 1 else ()

    def _function(self, name: str) -> Compiled:
        # those that the library gives itself are freed by the collector of garbage alone
        function: Any = FUNCTION(dlsym(self._library._handle, name))
        function.library = self._library
        return cast(Compiled, function)

    def _has(self, name: str) -> bool:
        try:
            dlsym(self._library._handle, name)
        except OSError:
            return False
        return True

    def _of_now(self, name: str) -> Compiled:
        """A function that libraries of earlier versions do not have."""
        try:
            return self._function(name)
        except OSError as error:
            raise ProjectError(
                f"{self._path.name} has no `{name}`, as an earlier version compiled it. Release "
                "the champion again: `kedro run --pipelines=release`."
            ) from error

    def _call(
        self,
        function: Compiled,
        matrix: NDArray[np.float64],
        shape: tuple[int, ...],
        min_rows: int,
    ) -> NDArray[np.float64]:
        """Call a function for all rows, of which each thread has ``min_rows`` at least.

        Args:
            function: What is called.
            matrix: The rows.
            shape: Of what is written for one row.
            min_rows: Fewer are not worth another thread.
        """
        matrix = np.ascontiguousarray(matrix)
        out = np.empty((len(matrix), *shape))
        n_parts = max(1, min(self._n_threads, len(matrix) // min_rows))
        edges = np.linspace(0, len(matrix), n_parts + 1).astype(int).tolist()
        own, *others = itertools.pairwise(edges)

        def run(span: tuple[int, int]) -> None:
            first, end = span
            function(matrix[first:].ctypes.data, end - first, out[first:].ctypes.data)

        shared = [self._pool.submit(run, span) for span in others] if self._pool else []
        run(own)
        for part in shared:
            part.result()
        return out

    def _one_by_one(
        self, function: Compiled, shape: tuple[int, ...]
    ) -> Callable[[Sequence[float]], Any]:
        pack = struct.Struct(f"{self._width}d").pack
        out = np.empty(shape)
        address = out.ctypes.data

        def call(row: Sequence[float]) -> Any:
            function(pack(*row), 1, address)
            return out.tolist()

        return call
