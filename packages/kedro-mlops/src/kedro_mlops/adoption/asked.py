"""What a person has said of a table, and whether that can be."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kedro_mlops.core.errors import ProjectError, suggestion
from kedro_mlops.task.record import TaskName

from .profile import TableProfile


@dataclass(frozen=True)
class Asked:
    """What a person has said of the table.

    Attributes:
        target: The column to predict.
        time: The moment that a row is about.
        key: What identifies rows, or those whom they are about.
        task: What is predicted, if it is not to be found out.
        positive: Of two values, the one whose probability is predicted.
        drop: Columns that are not to be learned from.
        personal: Columns with personal data.
        text: Columns of free text that are to be learned from.
        drop_rare: Whether rows of classes that are too rare are left without a label.
        take_time: Whether a moment that is safe to take is taken for the time of rows.
    """

    target: str
    time: str | None = None
    key: tuple[str, ...] = ()
    task: TaskName | None = None
    positive: str | None = None
    drop: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    drop_rare: bool = False
    take_time: bool = False

    def renamed(self, names: Mapping[str, str]) -> "Asked":
        """The same, of columns that are called otherwise."""

        def called(*columns: str) -> tuple[str, ...]:
            return tuple(names.get(name, name) for name in columns)

        return replace(
            self,
            target=names.get(self.target, self.target),
            time=self.time and names.get(self.time, self.time),
            key=called(*self.key),
            drop=called(*self.drop),
            personal=called(*self.personal),
            text=called(*self.text),
        )


def check_columns(profile: TableProfile, asked: Asked) -> None:
    """Refuse columns of which nothing can be made, and what is said of columns that there are not.

    Raises:
        ProjectError: saying which, and what to do.
    """
    names = [column.name for column in profile.columns]
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise ProjectError(
            f"The table has several columns of one name: {', '.join(twice)}. Rename them at the "
            "source, since the API has one field for each."
        )
    if len(names) < 2:
        raise ProjectError(
            f"The table has one column, '{', '.join(names)}'. Is it separated by something else?"
        )
    given = {
        "--time": filter(None, [asked.time]), "--key": asked.key, "--drop": asked.drop,
        "--personal": asked.personal, "--text": asked.text,
    }  # fmt: skip
    for option, columns in given.items():
        for name in columns:
            if name not in names:
                raise ProjectError(f"{option} {name}: There is no such column. "
                                   f"{suggestion(name, names)}")  # fmt: skip
            if name == asked.target:
                raise ProjectError(f"{option} {name}: It is the target.")
    if asked.time and profile[asked.time].kind != "moment":
        raise ProjectError(
            f"--time {asked.time}: It holds no moments, but {profile[asked.time].kind}, such as "
            f"{profile[asked.time].example!r}."
        )
    for name in asked.text:
        if profile[name].kind != "text":
            raise ProjectError(f"--text {name}: It holds no text, but {profile[name].kind}.")
    for name in filter(None, [asked.time, *asked.key]):
        n_missing = profile[name].n_missing
        if n_missing > profile.n_rows / 100:
            raise ProjectError(
                f"'{name}' is missing in {n_missing:,} of {profile.n_rows:,} rows, of which nobody "
                "knows where they belong: mend the source, or choose another column."
            )
