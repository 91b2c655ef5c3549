import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.orchestration.cron import Times


@pytest.mark.parametrize(
    ("said", "cron", "calendar", "quartz"),
    [
        ("0 6 * * *", "0 6 * * *", "*-*-* 6:0:00", "0 0 6 * * ?"),
        (
            "*/20 8-10 * * *",
            "0,20,40 8,9,10 * * *",
            "*-*-* 8,9,10:0,20,40:00",
            "0 0,20,40 8,9,10 * * ?",
        ),
        ("5 0 1,15 */6 *", "5 0 1,15 1,7 *", "*-1,7-1,15 0:5:00", "0 5 0 1,15 1,7 ?"),
        (
            "0 6 * * 1-5",
            "0 6 * * 1,2,3,4,5",
            "Mon,Tue,Wed,Thu,Fri *-*-* 6:0:00",
            "0 0 6 ? * MON,TUE,WED,THU,FRI",
        ),
        ("0 6 * * 7", "0 6 * * 0", "Sun *-*-* 6:0:00", "0 0 6 ? * SUN"),
        ("5-59/15 * * * *", "5,20,35,50 * * * *", "*-*-* *:5,20,35,50:00", "0 5,20,35,50 * * * ?"),
        ("0 6 * * 5-7", "0 6 * * 0,5,6", "Sun,Fri,Sat *-*-* 6:0:00", "0 0 6 ? * SUN,FRI,SAT"),
        ("30 * * * 0,6", "30 * * * 0,6", "Sun,Sat *-*-* *:30:00", "0 30 * ? * SUN,SAT"),
    ],
)
def test_the_same_times_are_said_as_others_say_them(
    said: str, cron: str, calendar: str, quartz: str
) -> None:
    times = Times.of(said)

    # who takes it for cron's reads the same in it
    assert times == Times.of(cron)
    assert times.cron == cron
    assert times.calendar == calendar
    assert times.quartz == quartz


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("daily", "it has 1 fields, not 5: minute, hour"),
        ("60 6 * * *", "'60' is no minute .* from 0 to 59"),
        ("0 24 * * *", "'24' is no hour"),
        ("0 6 0 * *", "'0' is no day of the month .* from 1 to 31"),
        ("0 6 * JAN *", "'JAN' is no month"),
        ("0 10-8 * * *", "'10-8' is no hour"),
        ("*/0 6 * * *", r"'\*/0' is no minute"),
        # minute 5 alone to some, also 20, 35 and 50 to others
        ("5/15 6 * * *", r"'5/15' is no minute .*'0-59/2'"),
        ("0 6, * * *", "'6,' is no hour"),
        ("0 6 1 * 1", "names days of the month and of the week"),
    ],
)
def test_what_is_no_time_is_named_with_what_would_be(cron: str, said: str) -> None:
    with pytest.raises(ProjectError, match=said):
        Times.of(cron)
