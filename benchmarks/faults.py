"""Kills the real commands at random moments, and looks at what they leave.

Usage: ``make faults``, or ``make faults ARGS="--kills 100 --seed 1"``.
Works on a copy of the project, in a temporary folder. After every SIGKILL the champion has to be
readable and valid, no half version may be listed, and its release must be in BentoML's store; now
and then, and at the end, every command has to work again as if nothing had been.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from tqdm import tqdm

from kedro_mlops.models.package import ModelPackage

RECOVER_EVERY = 10
TRAIN = "kedro run --env sample --pipelines=modelling,gate,release --params as_of={day}"
COMMANDS = {
    "modelling, gate and release": TRAIN,
    "promotion by hand": "kedro champion promote {other} --reason fault --env sample",
    "rollback": "kedro champion rollback {other} --env sample",
    "replay": "kedro replay --env replay --from 2013-02-15 --to 2013-03-15 --every 14D",
}
MARK = "STARTED_BY_FAULTS"
DAYS = ["2013-02-26", "2013-02-27", "2013-02-28", "2013-03-01"]


class Faults:
    """A copy of the project, and the commands that are killed in it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder / "project"
        self.chance = random.Random(seed)
        self.seconds: dict[str, float] = {}
        self.said = folder / "said.txt"
        source = Path(__file__).parents[1]
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=source, capture_output=True, text=True, check=True
        )
        for name in filter(None, listed.stdout.split("\0")):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, self.folder / name)
        quick = self.folder / "conf/replay/parameters.yml"
        shutil.copyfile(self.folder / "conf/sample/parameters.yml", quick)
        self.environment = os.environ | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": f"{self.folder}/src:{self.folder}/packages/kedro-mlops/src",
            "BENTOML_HOME": str(folder / "bentoml"),
            MARK: str(folder),
        }

    def prepare(self) -> None:
        """Two champions, so that there is something to roll back to."""
        for day in DAYS[:2]:
            self.must(f"kedro run --env sample --params as_of={day}")
        if len({champion.version for champion in self.champions()}) < 2:
            self.must(self.command("promotion by hand"))

    def command(self, name: str) -> str:
        """What a person would type now; to be rolled back to, a model must not be withdrawn."""
        *earlier, newest = [champion.metadata for champion in self.champions()]
        others = {metadata.version for metadata in earlier} - {newest.version}
        if name == "rollback":
            others -= {*newest.withdrawn}
            if not others:
                return self.command("promotion by hand")
        if name == "promotion by hand":
            others |= {candidate.version for candidate in self.models("candidate")}
            others -= {newest.version}
        command = COMMANDS[name].format(
            day=self.chance.choice(DAYS), other=self.chance.choice(sorted(others) or [""])
        )
        # others go on where a killed one was
        fresh = name == "replay" and self.chance.random() < 0.3
        return f"{command} --fresh" if fresh else command

    def champions(self) -> list[ModelPackage]:
        """All versions that are listed, oldest first; one that cannot be read is an error."""
        return self.models("champion")

    def models(self, entry: str) -> list[ModelPackage]:
        """The versions of a catalog entry."""
        folder = self.folder / "data/sample/06_models" / entry
        return [ModelPackage.read(path) for path in sorted(folder.glob(f"*/{entry}"))]

    def must(self, command: str) -> float:
        """Run a command to its end, and say how long it took."""
        start = time.perf_counter()
        status = self._start(command).wait()
        assert status == 0, f"`{command}` failed:\n{self.said.read_text()}"
        return time.perf_counter() - start

    def kill(self, name: str) -> float:
        """Start a command, kill it with all it started, and check what it leaves."""
        if name not in self.seconds:
            self.seconds[name] = self.must(self.command(name))
        moment = self.chance.uniform(0.5, self.seconds[name])
        process = self._start(self.command(name))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        self._kill_all()
        process.wait()
        self.check()
        return moment

    def check(self) -> None:
        """One valid champion, whose release is there."""
        newest = self.champions()[-1]
        bento = str(newest.metadata.release).replace(":", "/")
        assert (Path(self.environment["BENTOML_HOME"]) / "bentos" / bento / "bento.yaml").exists()
        lived = self.folder / "data/replay/ticks.jsonl"
        if lived.exists():
            [json.loads(line) for line in lived.read_text().splitlines()]

    def _start(self, command: str) -> subprocess.Popen[bytes]:
        with self.said.open("wb") as said:
            return subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    def _kill_all(self) -> None:
        """Whatever was started in the copy, servers in sessions of their own included."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.environment[MARK]:
                    process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    killed: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        faults = Faults(Path(scratch), options.seed)
        faults.prepare()
        with tqdm(range(options.kills), desc="Killing", unit="kill") as progress:
            for number in progress:
                name = list(COMMANDS)[number % len(COMMANDS)]
                moment = faults.kill(name)
                killed[name] += 1
                progress.set_postfix_str(f"{name}, after {moment:.1f} s")
                if (number + 1) % RECOVER_EVERY == 0:
                    recovered = list(COMMANDS)[(number // RECOVER_EVERY) % len(COMMANDS)]
                    faults.must(faults.command(recovered))
                    faults.check()
        for name in COMMANDS:
            faults.must(faults.command(name))
        faults.check()
    for name, n in killed.items():
        print(f"{n:3} kills during {name}: the champion was valid, and the command works again")


if __name__ == "__main__":
    main()
