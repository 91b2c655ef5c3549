"""Trees as machine code: compiled at release, called through the C interface.

The library has one function, ``probabilities(rows, n_rows, out)``; it reads rows of doubles, NaN
where a value is missing, and lets go of Python's lock while it runs.
"""

import ctypes
import itertools
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kedro_mlops.core.errors import ProjectError

# fewer rows are not worth another thread
MIN_ROWS_A_THREAD = 1000


class Trees:
    """Compiled trees.

    Args:
        library: The shared library.
        width: Number of columns that the trees read.
        n_threads: Threads that share the rows of a large table.
    """

    def __init__(self, library: Path, width: int, n_threads: int = 1) -> None:
        try:
            function = ctypes.CDLL(str(library)).probabilities
        except (OSError, AttributeError) as error:
            raise ProjectError(
                f"{library} cannot be used here: {error}. It was compiled for another kind of "
                "machine; release the champion again on this one: `kedro run --pipelines=release`."
            ) from error
        function.restype = None
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
        self._function = function
        self._width = width
        self._n_threads = n_threads
        # who asks does a part of it
        self._pool = ThreadPoolExecutor(n_threads - 1, "trees") if n_threads > 1 else None

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of the positive class for each row, shape (n_rows,)."""
        matrix = np.ascontiguousarray(matrix)
        out = np.empty(len(matrix))
        n_parts = max(1, min(self._n_threads, len(matrix) // MIN_ROWS_A_THREAD))
        edges = np.linspace(0, len(matrix), n_parts + 1).astype(int).tolist()
        own, *others = itertools.pairwise(edges)

        def run(span: tuple[int, int]) -> None:
            first, end = span
            self._function(matrix[first:].ctypes.data, end - first, out[first:].ctypes.data)

        shared = [self._pool.submit(run, span) for span in others] if self._pool else []
        run(own)
        for part in shared:
            part.result()
        return out

    def row_predictor(self) -> Callable[[Sequence[float]], float]:
        """A function for one row at a time, which does without arrays; not for several threads."""
        pack = struct.Struct(f"{self._width}d").pack
        out = ctypes.c_double()
        address = ctypes.addressof(out)
        function = self._function

        def predict(row: Sequence[float]) -> float:
            function(pack(*row), 1, address)
            return out.value

        return predict
