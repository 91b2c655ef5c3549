"""Units for the systemd of one machine: a service and a timer for each schedule."""

from .loop import Schedule
from .plan import Plan, heading

SERVICE = """\
[Unit]
Description={name} {about}

[Service]
Type=oneshot
WorkingDirectory={folder}
ExecStart={command}
TimeoutStartSec={deadline}
Nice=10
NoNewPrivileges=yes
"""
TIMER = """\
[Unit]
Description=When {name} {about}

[Timer]
OnCalendar={calendar}
# what was due while the machine was off is done when it is on again
Persistent=true

[Install]
WantedBy=timers.target
"""


def write(plan: Plan) -> dict[str, str]:
    """The units, for the user's own manager: nothing runs as root."""
    files = {}
    for schedule in plan.schedules:
        unit = f"{plan.name}-{schedule.name}"
        said = {"name": plan.name, "about": schedule.about}
        files[f"{unit}.service"] = heading("systemd") + SERVICE.format(
            **said,
            folder=_specified(str(plan.folder)),
            command=_command(plan, schedule),
            deadline=schedule.deadline_seconds,
        )
        files[f"{unit}.timer"] = heading("systemd") + TIMER.format(
            **said, calendar=schedule.at.calendar
        )
    return files


def _command(plan: Plan, schedule: Schedule) -> str:
    _, *options = schedule.command
    program = _specified(str(plan.kedro))
    return " ".join([f'"{program}"' if " " in program else program, *options])


def _specified(path: str) -> str:
    """A path in which nothing is put in the place of anything; variables are not looked for."""
    return path.replace("%", "%%")
