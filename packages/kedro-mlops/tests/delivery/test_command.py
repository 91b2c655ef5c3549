"""What a person sees of `kedro deploy`, and the exit status that a workflow sees."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from driving.warm_start import run_warm
from example.cluster import NEXT, NOW, Cluster

from kedro_mlops.cli import deploy as module
from kedro_mlops.cli.deploy import deploy
from kedro_mlops.monitoring import webhook

HOOK = "https://hooks.test/services"
FAILS: list[dict[str, Any]] = [{"fails": "Smoke test failed: it says otherwise.\n"}]
LOST = [{"fails": "Unable to connect to the server\n"}]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a webhook is told."""
    found: list[Any] = []
    monkeypatch.setattr(webhook, "notify", lambda *told: found.append(told))
    monkeypatch.setattr(module, "_webhook", lambda _: HOOK)
    return found


def ask(overlay: Path, *typed: str) -> Result:
    arguments: list[str] = [*typed, f"--overlay={overlay}"]
    return CliRunner().invoke(deploy, arguments)


def named_by(overlay: Path) -> Any:
    [image] = yaml.safe_load((overlay / "kustomization.yaml").read_text())["images"]
    return f"{image['newName']}:{image['newTag']}"


def test_an_image_that_serves_is_what_the_overlay_names(
    cluster: Cluster, overlay: Path, told: list[Any]
) -> None:
    done = ask(overlay, NEXT)

    assert done.exit_code == 0, done.output
    assert f"{NEXT} serves" in done.output
    assert named_by(overlay) == NEXT
    assert told == []


def test_one_that_does_not_is_returned_from_told_and_not_named(
    cluster: Cluster, overlay: Path, told: list[Any]
) -> None:
    cluster.plays(exec=FAILS)

    done = ask(overlay, NEXT)

    assert done.exit_code == 1
    assert f"Error: {NEXT} does not serve: `kubectl exec new-1` failed: Smoke test" in done.output
    assert f"{NOW} serves, as before" in done.output
    assert named_by(overlay) == NOW
    [(address, message)] = told
    [alert] = message["alerts"]
    assert (address, alert["kind"]) == (HOOK, "deployment returned")
    assert "it says otherwise" in alert["message"]


def test_a_return_that_fails_has_an_exit_status_of_its_own(
    cluster: Cluster, overlay: Path, told: list[Any]
) -> None:
    cluster.plays(exec=FAILS, rollout_undo=LOST)

    done = ask(overlay, NEXT)

    assert done.exit_code == 3
    assert "HAS NOT BEEN SEEN TO END" in done.output
    assert told[0][1]["alerts"][0]["kind"] == "deployment stuck"


def test_one_that_is_interrupted_has_that_of_interruptions(
    cluster: Cluster, overlay: Path, told: list[Any]
) -> None:
    cluster.plays(exec=[{"interrupt": signal.SIGINT}])

    done = ask(overlay, NEXT)

    assert done.exit_code == 130
    assert f"{NOW} serves, as before" in done.output


def test_a_webhook_that_cannot_be_told_changes_nothing(
    cluster: Cluster, overlay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> None:
        raise ValueError("no credentials")

    monkeypatch.setattr(module, "_webhook", fail)
    cluster.plays(exec=FAILS, rollout_undo=LOST)

    done = ask(overlay, NEXT)

    assert done.exit_code == 3
    assert "No webhook was told: no credentials" in done.output


def test_whose_terminal_is_gone_leaves_what_served_before_and_the_webhook_is_told(
    cluster: Cluster, overlay: Path, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(module.click, "echo", gone)
    cluster.plays(exec=FAILS)

    done = ask(overlay, NEXT)

    assert done.exit_code == 1
    assert cluster.asked[-5:-3] == ["get deployment/parcels", "rollout undo"]
    assert told[0][1]["alerts"][0]["kind"] == "deployment returned"


def test_whose_terminal_is_gone_has_the_overlay_name_what_serves(
    cluster: Cluster, overlay: Path, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(module.click, "echo", gone)

    assert ask(overlay, NEXT).exit_code == 0
    assert named_by(overlay) == NEXT


def test_as_it_is_typed_it_looks_for_the_webhook_and_ends_as_it_should(
    cluster: Cluster, overlay: Path, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    cluster.plays(exec=FAILS)
    typed = ["kedro", "deploy", NEXT, f"--overlay={overlay}"]

    status = run_warm(typed, pytestconfig.rootpath, dict(os.environ), tmp_path, timeout=300)

    said = (tmp_path / "stderr").read_text()
    assert status == 1
    assert f"{NOW} serves, as before" in said
    assert "No webhook was told" not in said


def test_without_an_image_it_is_the_overlays_own(
    cluster: Cluster, overlay: Path, told: list[Any]
) -> None:
    text = (overlay / "kustomization.yaml").read_text()

    ask(overlay)

    assert f'"image": "{NOW}"' in cluster.calls[2][2]
    assert (overlay / "kustomization.yaml").read_text() == text


def test_an_overlay_that_it_cannot_change_is_left_to_a_person(
    cluster: Cluster, overlay: Path, told: list[Any]
) -> None:
    (overlay / "kustomization.yaml").write_text("images: []\n")

    assert f"Name {NEXT} in" in ask(overlay, NEXT).output
