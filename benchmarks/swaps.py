"""Measures what callers notice of new champions that the service takes while it runs.

The champion's release is served and loaded as ``benchmarks.serving`` does it, in turns: while one
model goes on, and while it is exchanged, again and again, for another release of it under another
name, with files of its own. Both loads are on the same process, so the ratio is of the swaps alone.
"""

import json
import shutil
import statistics
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from benchmarks import servers
from benchmarks.bodies import real_rows, write_single
from benchmarks.load import Load, send
from benchmarks.servers import KEY, Server
from benchmarks.serving import CLIENTS, SINGLE_ROWS, WARM_UP_SECONDS
from kedro_mlops.models.metadata import HASHES, METADATA, Metadata
from kedro_mlops.models.released import bento_folder, models_of, spec_of
from kedro_mlops.runtime.serving_spec import SPEC_LABEL, hash_of

N_SWAPS = 20
# between two of them; the service looks every second
EVERY_SECONDS = 2.0


@dataclass(frozen=True)
class Store:
    """A store of releases that differ in their names alone, and the champion's folder.

    Attributes:
        home: BentoML's.
        champions: The versions of the champion.
        release: The one that is started.
    """

    home: Path
    champions: Path
    release: str

    def add(self, number: int) -> str:
        """Put the champion's release into the store, under another name."""
        [folder, *_] = models_of(self.release)
        spec = spec_of(folder)
        version = f"{spec.model_version}-{number}"
        tag = f"swapped:{number}"
        stored = self.home / "models" / tag.replace(":", "/")
        shutil.copytree(folder, stored)
        sha256 = msgspec.structs.replace(spec, model_version=version).write(stored)
        described = yaml.safe_load((stored / "model.yaml").read_text())
        described["labels"][SPEC_LABEL] = sha256
        (stored / "model.yaml").write_text(yaml.safe_dump(described))
        bento = self.home / "bentos/swapped" / str(number)
        shutil.copytree(bento_folder(self.release), bento)
        services = [{"models": [{"tag": tag}]}]
        (bento / "bento.yaml").write_text(yaml.safe_dump({"services": services}))
        return version

    def promote(self, number: int, metadata: Metadata) -> None:
        """Make it the champion, as a promotion does: a version that is there as a whole."""
        changed = {"version": f"{metadata.version}-{number}", "release": f"swapped:{number}"}
        data = metadata.model_copy(update=changed).model_dump_json().encode()
        version = self.champions / f"{time.time_ns():020}"
        beside = version.with_name(f".{version.name}")
        folder = beside / self.champions.name
        folder.mkdir(parents=True)
        (folder / METADATA).write_bytes(data)
        (folder / HASHES).write_text(f"{hash_of(data)}  {METADATA}\n")
        beside.rename(version)


def measure(rounds: int) -> None:
    """Print what callers see with swaps and without, and what the process weighs after them."""
    metadata = servers.champion()
    release = str(metadata.release)
    with tempfile.TemporaryDirectory() as scratch:
        store = _store(Path(scratch), release)
        for number in range(rounds * N_SWAPS):
            store.add(number)
        told = {
            "BENTOML_HOME": str(store.home),
            "FOLLOW_CHAMPION": str(store.champions),
            "FOLLOW_RELEASE": release,
        }
        bodies = write_single(real_rows(SINGLE_ROWS), Path(scratch) / "bodies.jsonl")
        with servers.ours(**told) as server:
            _measure(server, store, metadata, bodies, rounds)


def _measure(server: Server, store: Store, metadata: Metadata, bodies: Path, rounds: int) -> None:
    send(server.predict_url, bodies, KEY, CLIENTS, WARM_UP_SECONDS)
    seconds = N_SWAPS * EVERY_SECONDS
    plain, swapped, megabytes = [], [], [server.megabytes()]
    for number in range(rounds):
        plain.append(send(server.predict_url, bodies, KEY, CLIENTS, seconds))
        first = number * N_SWAPS
        thread = threading.Thread(target=_swap, args=(store, metadata, first))
        thread.start()
        swapped.append(send(server.predict_url, bodies, KEY, CLIENTS, seconds))
        thread.join()
        megabytes.append(server.megabytes())
        _check(server, f"{metadata.version}-{first + N_SWAPS - 1}", (number + 1) * N_SWAPS)
    failed = sum(load.failed for load in [*plain, *swapped])
    if failed:
        raise SystemExit(f"{failed:,} requests were not answered: {swapped}")
    answered = sum(load.requests for load in swapped)
    print(
        f"{N_SWAPS} champions in {seconds:.0f} s at {CLIENTS} clients, {rounds} rounds: "
        f"{answered:,} requests meanwhile, each answered\n"
    )
    print(f"{'':16}{'one goes on':>14}{'swaps':>14}{'ratio':>8}")
    for name, unit in (("p50_ms", "ms"), ("p99_ms", "ms"), ("per_second", "/s")):
        one, many = (_median(loads, name) for loads in (plain, swapped))
        label = "requests" if name == "per_second" else name.partition("_")[0]
        print(f"{label:16}{one:11,.2f} {unit}{many:11,.2f} {unit}{many / one:7.2f}x")
    weighed = ", ".join(f"{each:.0f}" for each in megabytes)
    print(f"memory before, and after each {N_SWAPS} swaps: {weighed} MB")


def _store(folder: Path, release: str) -> Store:
    store = Store(folder / "bentoml", folder / "champion", release)
    store.champions.mkdir()
    for path in (bento_folder(release), *models_of(release)):
        there = store.home / path.relative_to(path.parents[2])
        there.parent.mkdir(parents=True, exist_ok=True)
        there.symlink_to(path)
    return store


def _swap(store: Store, metadata: Metadata, first: int) -> None:
    for number in range(first, first + N_SWAPS):
        store.promote(number, metadata)
        time.sleep(EVERY_SECONDS * 0.95)


def _check(server: Server, version: str, n_swaps: int) -> None:
    """Make sure that every champion was taken."""
    asked = urllib.request.Request(
        server.predict_url.replace("/predict", "/info"), headers={"Authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(asked) as answer:
        info = json.load(answer)
    taken = server.metric("champion_swaps_total")
    if info["model_version"] != version or taken != n_swaps:
        raise SystemExit(f"{taken:.0f} of {n_swaps} champions were taken; at last {info}")


def _median(loads: list[Load], name: str) -> float:
    return statistics.median(getattr(load, name) for load in loads)
