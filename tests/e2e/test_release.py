import shutil
import sqlite3

from driving.project import Loop, versions


def test_a_release_that_looks_up_other_features_than_training_is_refused(sample_loop: Loop) -> None:
    store = sample_loop.data / "04_feature/online.db"
    champions = versions(sample_loop.files["champion"])
    kept = shutil.copy(store, store.with_suffix(".kept"))
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE carrier_features SET late_rate_7d = 1 - late_rate_7d")

    done = sample_loop.project.run("kedro run --env sample --pipelines=release")

    shutil.move(kept, store)
    assert done.returncode == 1
    assert "works with other features than training: carrier_late_rate_7d;" in done.stderr
    assert "the champion that serves stays" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert versions(sample_loop.files["champion"]) == champions
