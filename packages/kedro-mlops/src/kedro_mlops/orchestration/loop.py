"""The loop as tasks: a look that ends in a decision, and a training if that is the decision."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Self

from kedro.pipeline import GroupedNodes, Pipeline

from kedro_mlops.core.errors import ProjectError

from .cron import Times

# between these two a candidate becomes champion; after the third it is known whether one is needed
FIRST, LAST, DECIDES = "modelling", "release", "monitoring"
DECISION, WINNER = "decide", "promote_winner"
# what it says
RETRAIN, WAIT = "retrain", "wait"
TODAY = "today"


@dataclass(frozen=True)
class Task:
    """A step that is run by itself.

    Attributes:
        name: Of the task.
        waits_for: The tasks that have to succeed before it.
        command: What is typed.
    """

    name: str
    waits_for: tuple[str, ...]
    command: tuple[str, ...]


@dataclass(frozen=True)
class Loop:
    """Which pipelines look at the champion, which make another, and what each waits for.

    Attributes:
        waits_for: Of each pipeline, those that make what it reads, in an order that may be run.
        look: Those that end in the decision.
        train: Those that follow from it.
    """

    waits_for: Mapping[str, tuple[str, ...]]
    look: tuple[str, ...]
    train: tuple[str, ...]

    @classmethod
    def of(cls, pipelines: Mapping[str, Pipeline]) -> Self:
        """The loop of registered pipelines, by the namespaces of the default one.

        Pipelines that are neither needed for a decision nor for a release look, unless they read
        what only a training makes.

        Raises:
            ProjectError: if a stage is missing.
        """
        groups = _groups(pipelines)
        for stage in (FIRST, LAST, DECIDES):
            if stage not in groups:
                raise ProjectError(
                    f"The default pipeline has no '{stage}', so that there is no loop to repeat."
                )
        needs = {name: set(group.dependencies) for name, group in groups.items()}
        order = tuple(TopologicalSorter(dict(sorted(needs.items()))).static_order())
        waits_for = {name: tuple(n for n in order if n in needs[name]) for name in order}
        released, decided = _above(LAST, waits_for), _above(DECIDES, waits_for)
        made = {name for name in released if FIRST in _above(name, waits_for)}
        look, train = decided - made, set(released)
        for name in order:
            if name not in look | train:
                is_told = needs[name] & (train - look) and not needs[name] & (look - train)
                (train if is_told else look).add(name)
        return cls(
            waits_for,
            tuple(name for name in order if name in look),
            tuple(name for name in order if name in train),
        )

    def looking(self, day: str, env: str | None) -> list[Task]:
        """The tasks of a look, at the horizon before a day.

        Args:
            day: A day, or what a scheduler puts one in the place of.
            env: Kedro's environment.
        """
        return self._tasks(self.look, "look", ("--until", day), env, ())

    def training(self, day: str, env: str | None) -> list[Task]:
        """The tasks of a training as of a day, which wait for the decision."""
        return self._tasks(self.train, "train", ("--params", f"as_of={day}"), env, (DECISION,))

    def deciding(self, env: str | None) -> list[Task]:
        """What is done when the look has ended.

        A challenger that has won its trial is promoted; then ``retrain`` or ``wait`` is printed.
        """
        read = {name for task in self.look for name in self.waits_for[task]}
        ends = tuple(f"look_{name}" for name in self.look if name not in read)
        promote = ("kedro", "champion", "promote", "--winner", *_in(env), "--wait")
        decide = ("kedro", "retrain", "--decision", *_in(env))
        return [Task(WINNER, ends, promote), Task(DECISION, (WINNER,), decide)]

    def _tasks(
        self,
        names: Iterable[str],
        phase: str,
        moment: tuple[str, str],
        env: str | None,
        first: tuple[str, ...],
    ) -> list[Task]:
        there = set(names)
        return [
            Task(
                f"{phase}_{name}",
                tuple(f"{phase}_{n}" for n in self.waits_for[name] if n in there) or first,
                ("kedro", "run", f"--pipelines={name}", *moment, *_in(env), "--wait"),
            )
            for name in names
        ]


@dataclass(frozen=True)
class Schedule:
    """What is done at which times.

    Attributes:
        name: Of the schedule.
        at: The times.
        about: What it does.
        deadline_seconds: How long that may take; what hangs keeps others waiting.
        command: All of it, where one machine does all.
        tasks: The same step by step, if it can be; two such schedules would mix what they make.
    """

    name: str
    at: Times
    about: str
    deadline_seconds: int
    command: tuple[str, ...]
    tasks: tuple[Task, ...] = ()


def retraining(loop: Loop, at: str, env: str | None, day: str, of_one: str = TODAY) -> Schedule:
    """A look, and a training if it is needed.

    Args:
        loop: The pipelines.
        at: When, as cron says it.
        env: Kedro's environment.
        day: The day of a run, as tasks are told it.
        of_one: The same, as one command is.
    """
    return Schedule(
        "retrain",
        Times.of(at),
        "looks at the champion, and trains again only if that is the decision",
        6 * 3600,
        ("kedro", "retrain", "--until", of_one, *_in(env), "--wait"),
        (*loop.looking(day, env), *loop.deciding(env), *loop.training(day, env)),
    )


def watching(loop: Loop, at: str, env: str | None, day: str = TODAY) -> Schedule:
    """A look alone, of which only what has changed is run."""
    look = ("kedro", "run", f"--pipelines={','.join(loop.look)}", "--until", day)
    return Schedule(
        "watch",
        Times.of(at),
        "looks at the champion, as far as something has changed",
        50 * 60,
        (*look, *_in(env), "--changed", "--wait"),
    )


def typed(command: Iterable[str]) -> str:
    """A command as a shell takes it, with what a scheduler puts the day in the place of."""
    return " ".join(word if "{{" in word else shlex.quote(word) for word in command)


def _in(env: str | None) -> tuple[str, ...]:
    return ("--env", env) if env else ()


def _above(name: str, waits_for: Mapping[str, tuple[str, ...]]) -> set[str]:
    """A pipeline, and all that come before it."""
    return {name}.union(*(_above(other, waits_for) for other in waits_for[name]))


def check_tasks(pipelines: Mapping[str, Pipeline]) -> None:
    """Make sure that pipeline by pipeline all nodes of the default one are run.

    Raises:
        ProjectError: if a node is in no pipeline of its own.
    """
    for name, group in _groups(pipelines).items():
        own = {node.name for node in pipelines[name].nodes} if name in pipelines else set()
        if own != set(group.nodes):
            raise ProjectError(
                f"A task is a pipeline of its own, and `{group.nodes[0]}` is not in one that is "
                f"called '{name}'. Name the nodes of each pipeline by `named_pipeline`, and the "
                "pipeline as its folder."
            )


def _groups(pipelines: Mapping[str, Pipeline]) -> dict[str, GroupedNodes]:
    return {group.name: group for group in pipelines["__default__"].group_nodes_by()}
