"""Whether numbers say a moment that there is.

Told by arithmetic, since an engine may stop at a moment that there is not.
"""

from typing import Any


def is_real_moment(year: Any, month: Any, day: Any, *time: Any) -> Any:
    """Whether there are such moments, given as columns of pandas or of Ibis."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    last = day.between(29, 31) & (
        ((day <= 29) & leap) | ((day <= 30) & (month != 2)) | month.isin([1, 3, 5, 7, 8, 10, 12])
    )
    return _within(year, month, *time) & (day.between(1, 28) | last)


def is_usual_moment(year: Any, month: Any, day: Any, *time: Any) -> Any:
    """Whether there are such moments in every month of every year."""
    return day.between(1, 28) & _within(year, month, *time)


def _within(year: Any, month: Any, *time: Any) -> Any:
    within = year.between(1, 9999) & month.between(1, 12)
    for part, most in zip(time, (23, 59, 59), strict=False):
        within &= part.between(0, most)
    return within
