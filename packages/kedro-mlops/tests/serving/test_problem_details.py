import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedro_mlops.serving.problem_details import MIN_ERROR, TITLES, problem
from kedro_mlops.serving.refusals import BadRequestError

TEXT = st.text(st.characters(), max_size=40) | st.sampled_from(["\0" * 300, "🛩" * 400, "\ud800"])
PROBLEMS = st.lists(
    st.fixed_dictionaries({"row": st.integers(), "field": st.none() | TEXT, "message": TEXT}),
    max_size=20,
)


@settings(max_examples=200, deadline=None)
@given(TEXT, PROBLEMS, st.integers(0, 5_000), st.sampled_from(sorted(TITLES)))
def test_an_error_is_never_larger_than_the_request_or_a_kilobyte(detail, found, n_request, status):
    error = BadRequestError(status, "reason", detail, found)

    body = problem(error, "x" * 64, n_request)

    assert len(body) <= max(MIN_ERROR, n_request)
    said = json.loads(body)
    assert (said["status"], said["title"]) == (status, TITLES[status])
    assert len(said.get("errors", [])) <= len(found)


def test_what_fits_is_said_in_full():
    found = [{"row": i, "field": "é", "message": "wrong"} for i in range(3)]

    said = json.loads(problem(BadRequestError(422, "invalid", "It breaks.", found), "id", 0))

    assert said == {
        "type": "about:blank",
        "title": "Invalid rows",
        "status": 422,
        "detail": "It breaks.",
        "request_id": "id",
        "errors": found,
    }


@pytest.mark.parametrize("n_request", [0, 2_000, 10_000])
def test_errors_that_do_not_fit_are_left_out_from_the_end_and_that_is_said(n_request):
    found = [{"row": i, "field": "name", "message": "wrong"} for i in range(1000)]

    body = problem(BadRequestError(422, "invalid", "It breaks.", found), "id", n_request)

    said = json.loads(body)
    assert said["errors"] == found[: len(said["errors"])]
    assert said["more_errors"] is True
    assert len(body) > max(MIN_ERROR, n_request) - 100
