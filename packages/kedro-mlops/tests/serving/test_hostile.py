"""What it takes to refuse, or to read, bodies that are made to cost more than they are."""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import msgspec
import pytest
from example import ENVIRONMENT
from example.factories import spec_of
from example.hostile import ARROW_BODIES, JSON_BODIES, read_rows, readers, verdict

from kedro_mlops.serving.settings import Settings

SETTINGS = Settings()
# what the machinery of a process takes that does something for the first time
FIRST_TIME_BYTES = 20_000_000


@pytest.fixture(scope="module")
def measured():
    """By the name of each body at its full size, what came of it in a process of its own."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak of a process' memory begins anew on Linux alone")
    command = [sys.executable, "-m", "example.hostile"]
    done = subprocess.run(
        command,
        env=ENVIRONMENT,
        input=msgspec.json.encode(spec_of()),
        stdout=subprocess.PIPE,
        check=True,
    )
    return {found["name"]: found for found in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", [*JSON_BODIES, *ARROW_BODIES])
def test_whatever_comes_takes_no_more_memory_than_is_set_aside_for_it(measured, name):
    found = measured[name]

    assert found["peak"] < SETTINGS.memory_for(found["n_bytes"]) + FIRST_TIME_BYTES, found
    assert found["n_bytes"] <= SETTINGS.max_body
    assert found["status"] in (200, 400, 413, 415, 422)
    assert found["seconds"] < SETTINGS.request_seconds / 3


@pytest.mark.usefixtures("nothing_else_to_collect")
@pytest.mark.parametrize("name", JSON_BODIES)
@pytest.mark.parametrize("way", ["one by one", "together"])
def test_what_is_twice_as_large_takes_no_more_than_twice_as_long(name, way):
    make, table_reader = JSON_BODIES[name], readers(spec_of().sent)
    read = table_reader.read_json if way == "together" else partial(read_rows, table_reader._rows)

    def seconds(n):
        body, start = make(n), time.process_time()
        assert verdict(read, body) in (400, 422)
        return time.process_time() - start

    # a fourth of a second is little beside what is quadratic
    assert min(seconds(1_600_000) for _ in range(2)) < 8 * seconds(400_000) + 0.25


def test_a_repeated_key_is_named_among_many():
    from kedro_mlops.serving.json_rows import _distinct

    pairs = [(f"{i}", 0) for i in range(30_000)]
    start = time.process_time()

    with pytest.raises(ValueError, match='"zz" comes twice'):
        _distinct([*pairs, ("zz", 1), ("zz", 2)])

    assert time.process_time() - start < 2
