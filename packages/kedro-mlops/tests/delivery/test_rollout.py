"""The steps by which a cluster gets a release, in their order, whatever goes wrong."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
from example.cluster import NEXT, NOW, Cluster, listed, pod, replicas, running

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.delivery.rollout import Outcome

BUILT, STANDS, LOOKED = "kustomize", "get replicasets", "get pods"
APPLIED, WAITED, ASKED = "apply", "rollout status", "exec"
NEWEST = "get deployment/parcels"
UNDONE = [NEWEST, "rollout undo", "annotate", WAITED, STANDS]
BEFORE = [BUILT, STANDS, APPLIED, WAITED]
LATE = {"fails": "error: timed out waiting for the condition\n"}
LOST = {"fails": "Unable to connect to the server: dial tcp: i/o timeout\n"}
FAILED = {
    "name": "smoke-test",
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
    "lastState": {
        "terminated": {
            "exitCode": 1,
            "message": "started\nError: it differs by 0.3 from what it said\n"
            "Smoke test failed: The service does not start; above it says why.\n",
        }
    },
}


def test_what_is_right_is_applied_rolled_out_and_asked_by_one_of_its_own_pods(
    cluster: Cluster, deployed: Callable[[], Outcome], said: list[str]
) -> None:
    outcome = deployed()

    assert outcome.status == "serves"
    assert cluster.asked == [*BEFORE, LOOKED, ASKED]
    assert NEXT in cluster.calls[2][2]
    assert "deployment/parcels --timeout=60s" in cluster.words_of(WAITED)
    assert cluster.words_of(ASKED).endswith(
        "exec new-1 --container=service -- "
        "python -m kedro_mlops.serving.smoke_test http://parcels:8080"
    )
    assert "Smoke test passed: it answers." in said
    assert f"{NEXT} serves; back to {NOW}: `kubectl rollout undo" in outcome.said
    assert "--to-revision=3 --namespace=post" in outcome.said


def test_every_call_names_the_cluster_that_was_meant(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    cluster.plays(exec=[{"fails": "no"}])

    deployed()

    for verb, words, _ in cluster.calls:
        assert "--context=far" in words
        assert ("--namespace=post" in words) == (verb != BUILT)


def test_what_fails_its_smoke_test_is_undone_and_the_reason_is_recorded(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    cluster.plays(
        rollout_status=[LATE, {}],
        get_pods=[listed(pod("new-1", NEXT, ready=False, initContainerStatuses=[FAILED]))],
    )

    outcome = deployed()

    assert outcome.status == "returned"
    assert cluster.asked == [*BEFORE, LOOKED, *UNDONE]
    assert "undo deployment/parcels --to-revision=3" in cluster.words_of("rollout undo")
    recorded = cluster.words_of("annotate")
    assert f"kubernetes.io/change-cause=returned to {NOW}, as {NEXT} did not serve" in recorded
    assert "smoke-test: Error: it differs by 0.3 from what it said Smoke test failed" in recorded
    assert outcome.why in recorded
    assert outcome.said.startswith(f"{NOW} serves, as before")


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({}, "timed out waiting for the condition"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no nodes"}]},
            "no place for a pod: no nodes",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "name": "service",
                        "state": {"waiting": {"reason": "ErrImagePull", "message": "denied"}},
                    }
                ]
            },
            "service: ErrImagePull: denied",
        ),
        (
            {
                "initContainerStatuses": [
                    {"name": "smoke-test", "state": {"waiting": {"reason": "PodInitializing"}}}
                ]
            },
            "timed out waiting for the condition",
        ),
    ],
)
def test_what_is_not_ready_in_time_is_undone_and_says_what_kept_it(
    cluster: Cluster, deployed: Callable[[], Outcome], status: dict[str, Any], why: str
) -> None:
    cluster.plays(
        rollout_status=[LATE, {}],
        get_pods=[listed(pod("new-1", NEXT, ready=False) | {"status": status})],
    )

    outcome = deployed()

    assert cluster.asked == [*BEFORE, LOOKED, *UNDONE]
    assert why in outcome.why


def test_what_the_service_answers_wrongly_is_undone(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    cluster.plays(exec=[{"fails": "Smoke test failed: it answers with another.\n"}])

    outcome = deployed()

    assert outcome.status == "returned"
    assert cluster.asked == [*BEFORE, LOOKED, ASKED, *UNDONE]
    assert "it answers with another" in cluster.words_of("annotate")


def test_a_pod_that_is_about_to_end_does_not_ask(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    leaving = pod("new-1", NEXT, ready=True)
    leaving["metadata"]["deletionTimestamp"] = "2013-07-01T00:00:00Z"
    cluster.plays(get_pods=[listed(leaving)])

    outcome = deployed()

    assert outcome.why == f"no pod of {NEXT} is ready"
    assert ASKED not in cluster.asked


def test_what_could_not_be_applied_as_a_whole_is_undone(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    cluster.plays(apply=[{"fails": "error: the server rejected a part\n"}])

    outcome = deployed()

    assert outcome.status == "returned"
    assert cluster.asked == [BUILT, STANDS, APPLIED, *UNDONE]


@pytest.mark.parametrize(
    ("plays", "calls"),
    [
        ({NEWEST: [LOST]}, [NEWEST]),
        ({"rollout_undo": [LOST]}, UNDONE[:2]),
        ({"rollout_status": [{}, LATE]}, UNDONE[:4]),
        ({"get_replicasets": [listed(replicas(NOW, 3, 2)), LOST]}, UNDONE),
        ({"get_replicasets": [listed(replicas(NOW, 3, 2)), listed()]}, UNDONE),
        (
            {"get_replicasets": [listed(replicas(NOW, 3, 2)), listed(replicas(NEXT, 4, 2))]},
            UNDONE,
        ),
    ],
)
def test_a_return_that_is_not_seen_to_end_is_told_loudly_with_what_to_type(
    cluster: Cluster, deployed: Callable[[], Outcome], plays: dict[str, Any], calls: list[str]
) -> None:
    cluster.plays(exec=[{"fails": "no"}], **plays)

    outcome = deployed()

    assert outcome.status == "stuck"
    assert cluster.asked == [*BEFORE, LOOKED, ASKED, *calls]
    assert f"THE RETURN TO {NOW} HAS NOT BEEN SEEN TO END" in outcome.said
    typed = "`kubectl rollout undo deployment/parcels --to-revision=3 --namespace=post`"
    assert typed in outcome.said


@pytest.mark.parametrize(
    ("verb", "number"),
    [
        ("apply", signal.SIGINT),
        ("rollout_status", signal.SIGINT),
        ("exec", signal.SIGINT),
        ("rollout_status", signal.SIGTERM),
        ("rollout_status", signal.SIGHUP),
    ],
)
def test_who_is_interrupted_leaves_what_served_before(
    cluster: Cluster, deployed: Callable[[], Outcome], verb: str, number: int
) -> None:
    cluster.plays(**{verb: [{"interrupt": number}, {}]})

    outcome = deployed()

    assert (outcome.status, outcome.is_interrupted) == ("returned", True)
    done = [*BEFORE, LOOKED, ASKED]
    assert cluster.asked == [*done[: done.index(verb.replace("_", " ")) + 1], *UNDONE]
    assert "it was interrupted" in cluster.words_of("annotate")


def test_what_nobody_expected_is_undone_too(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    cluster.plays(get_pods=[{"says": "no JSON"}])

    outcome = deployed()

    assert outcome.status == "returned"
    assert cluster.asked == [*BEFORE, LOOKED, *UNDONE]


def test_a_reason_that_cannot_be_recorded_is_no_reason_not_to_return(
    cluster: Cluster, deployed: Callable[[], Outcome], said: list[str]
) -> None:
    cluster.plays(exec=[{"fails": "no"}], annotate=[{"fails": "forbidden"}])

    outcome = deployed()

    assert outcome.status == "returned"
    assert "The reason is not recorded: `kubectl annotate deployment/parcels` failed: f" in said[-1]


def test_who_does_not_wait_for_the_return_is_told_that_it_goes_on(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    cluster.plays(exec=[{"fails": "no"}], rollout_status=[{}, {"interrupt": signal.SIGINT}])

    outcome = deployed()

    assert outcome.status == "stuck"
    assert "HAS NOT BEEN SEEN TO END: it was interrupted" in outcome.said


def test_the_first_release_of_a_cluster_has_nothing_to_return_to(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    failed = listed(pod("new-1", NEXT, ready=False))
    cluster.plays(get_replicasets=[listed()], get_pods=[failed], rollout_status=[LATE])

    outcome = deployed()

    assert outcome.status == "returned"
    assert cluster.asked == [*BEFORE, LOOKED, LOOKED]
    assert "Nothing served before" in outcome.said


@pytest.mark.parametrize("then", [listed(pod("new-1", NEXT, ready=True)), LOST])
def test_the_first_release_that_may_have_callers_is_not_said_to_have_none(
    cluster: Cluster, deployed: Callable[[], Outcome], then: dict[str, str]
) -> None:
    ready = listed(pod("new-1", NEXT, ready=True))
    cluster.plays(get_replicasets=[listed()], exec=[{"fails": "no"}], get_pods=[ready, then])

    outcome = deployed()

    assert outcome.status == "stuck"
    assert "callers" in outcome.said


def test_what_somebody_else_has_deployed_meanwhile_is_not_undone(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    other = "registry.test/parcels:3"
    cluster.plays(get_pods=[listed()], **{NEWEST: [running(other)]})

    outcome = deployed()

    assert outcome.status == "stuck"
    assert "rollout undo" not in cluster.asked
    assert f"{other} HAS BEEN DEPLOYED MEANWHILE" in outcome.said


def test_where_nothing_was_applied_nothing_is_undone(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    cluster.plays(apply=[{"fails": "forbidden"}], **{NEWEST: [running(NOW)]})

    outcome = deployed()

    assert outcome.status == "returned"
    assert cluster.asked == [BUILT, STANDS, APPLIED, NEWEST, WAITED, STANDS]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="has no terminals")
def test_who_was_started_to_outlive_the_terminal_goes_on(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    cluster.plays(exec=[{"interrupt": signal.SIGHUP, "then": "goes on"}])
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        outcome = deployed()
    finally:
        signal.signal(signal.SIGHUP, before)

    assert outcome.status == "serves"


def test_a_release_that_never_got_ready_is_not_what_is_returned_to(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    left = [replicas("registry.test/parcels:0", 2, 0), replicas(NOW, 3, 2)]
    stuck = replicas("registry.test/parcels:bad", 4, 0)
    cluster.plays(get_replicasets=[listed(stuck, *left)], exec=[{"fails": "no"}])

    deployed()

    assert "--to-revision=3" in cluster.words_of("rollout undo")


def test_a_cluster_that_does_not_say_what_serves_is_left_alone(
    cluster: Cluster, deployed: Callable[[], Outcome]
) -> None:
    cluster.plays(get_replicasets=[LOST])

    with pytest.raises(ProjectError, match="Unable to connect to the server"):
        deployed()

    assert APPLIED not in cluster.asked
