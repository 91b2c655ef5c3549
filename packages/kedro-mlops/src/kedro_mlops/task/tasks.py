"""The task of each name."""

from .binary import Binary
from .multiclass import Multiclass
from .record import TaskName
from .regression import Regression
from .task import Task

TASKS: dict[TaskName, type[Task]] = {task.name: task for task in (Binary, Multiclass, Regression)}
