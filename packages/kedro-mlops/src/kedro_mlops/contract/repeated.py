"""Keys that several rows have, looked for in memory that does not grow with the rows."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from kedro_mlops.core.engine import is_spark
from kedro_mlops.core.names import own

from .batches import batches_of
from .key_hashes import hash_of

_ROWS, _KEY = own("rows"), own("key")
# hashes that are in memory at once; more go into files, each with those that begin alike
HELD = 2**22
FILE_BITS = 6
A_BATCH = 2**20
# keys that are looked for among the rows, beyond which all are counted
LOOKED_FOR = 2**20

Hashes = NDArray[np.uint64]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def xxhash64(key) -> int:  # type: ignore[no-untyped-def]
    """A hash of 64 bits; Spark's own, of which Ibis would take one of 32, which many rows share."""
    raise NotImplementedError


def repeated_keys(table: ir.Table, key: Sequence[str]) -> tuple[int, int]:
    """Count the keys that several rows have, and the rows beyond the first of each.

    Hashes are sorted first, for which an engine's groups take many times the time and memory;
    only rows with equal ones are looked at exactly.
    """
    if not key:
        return 0, 0
    said = ibis.struct({name: table[name] for name in key})
    if is_spark(table):
        # many machines count what one would have to read
        hashed = table.mutate(xxhash64(said).name(_KEY))
        return _count(table, key) if _count(hashed, [_KEY])[0] else (0, 0)
    hashed = table.mutate(hash_of(said).name(_KEY))
    batches = batches_of(hashed.select(_KEY), A_BATCH)
    several = _several(np.asarray(batch.column(0)) for batch in batches)
    if several is None:
        return _count(table, key)
    if not len(several):
        return 0, 0
    return _count(hashed.semi_join(ibis.memtable({_KEY: several}), _KEY), key)


def _count(table: ir.Table, key: Sequence[str]) -> tuple[int, int]:
    groups = table.group_by(key).aggregate(ibis._.count().name(_ROWS))
    rows = groups.filter(groups[_ROWS] > 1)[_ROWS].as_table()
    counts = rows.aggregate(keys=rows.count(), beyond=(rows[_ROWS] - 1).sum().fill_null(0))
    [found] = counts.to_pyarrow().to_pylist()
    return int(found["keys"]), int(found["beyond"])


def _several(batches: Iterable[Hashes]) -> Hashes | None:
    """The hashes that there are more than one of; none if these are many."""
    found, n_found = list[Hashes](), 0
    for hashes in _parts(iter(batches)):
        hashes.sort()
        found.append(np.unique(hashes[1:][hashes[1:] == hashes[:-1]]))
        n_found += len(found[-1])
        if n_found > LOOKED_FOR:
            return None
    return np.concatenate(found)


def _parts(batches: Iterator[Hashes]) -> Iterator[Hashes]:
    """All hashes, those that are equal in one part."""
    held, n_held = [np.empty(0, np.uint64)], 0
    for hashes in batches:
        held.append(hashes)
        n_held += len(hashes)
        if n_held > HELD:
            yield from _in_files(chain(held, batches))
            return
    yield np.concatenate(held)


def _in_files(batches: Iterable[Hashes]) -> Iterator[Hashes]:
    with tempfile.TemporaryDirectory(prefix="kedro-keys-") as scratch:
        paths = [Path(scratch) / str(number) for number in range(2**FILE_BITS)]
        with ExitStack() as opened:
            files = [opened.enter_context(path.open("wb")) for path in paths]
            for hashes in batches:
                # bytes are put into order in a fourth of the time that hashes take
                number = (hashes >> np.uint64(64 - FILE_BITS)).astype(np.uint8)
                ordered = hashes[np.argsort(number, kind="stable")]
                ends = np.cumsum(np.bincount(number, minlength=len(files)))[:-1]
                for part, file in zip(np.split(ordered, ends), files, strict=True):
                    part.tofile(file)
        for path in paths:
            yield np.fromfile(path, np.uint64)
