import resource
import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
from kedro.io import DatasetError
from kedro_datasets.json import JSONDataset

from kedro_mlops.core import files as storage


@pytest.fixture
def files():
    storage.register()
    return fsspec.filesystem("file")


@pytest.fixture
def report(tmp_path) -> Path:
    """A file that is there already."""
    path = tmp_path / "report.txt"
    path.write_text("old")
    return path


def test_a_written_file_has_the_new_content_and_no_neighbours(files, report):
    with files.open(str(report), "w") as file:
        file.write("new")

    assert report.read_text() == "new"
    assert list(report.parent.iterdir()) == [report]


def test_until_it_is_closed_readers_see_the_old_file(files, report):
    with files.open(str(report), "w") as file:
        file.write("new")
        file.flush()

        assert report.read_text() == "old"


@pytest.mark.parametrize(("mode", "half"), [("w", "ne"), ("wb", b"ne")])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_file_that_failed_to_be_written_leaves_the_old_one(files, report, mode, half, error):
    with pytest.raises(error), files.open(str(report), mode) as file:
        file.write(half)
        raise error

    assert report.read_text() == "old"
    assert list(report.parent.iterdir()) == [report]


def test_a_new_file_that_failed_to_be_written_is_not_there(files, tmp_path):
    with pytest.raises(ValueError), files.open(str(tmp_path / "new.txt"), "w") as file:
        file.write("ne")
        raise ValueError

    assert list(tmp_path.iterdir()) == []


def test_a_dataset_that_cannot_be_serialised_leaves_the_old_one(files, tmp_path):
    dataset = JSONDataset(filepath=str(tmp_path / "numbers.json"))
    dataset.save({"a": 1})

    with pytest.raises(DatasetError, match="not JSON serializable"):
        dataset.save({"a": 2, "b": object()})

    assert dataset.load() == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.json"]


def test_an_error_that_is_being_handled_does_not_stop_a_file_from_being_written(files, report):
    try:
        raise ValueError
    except ValueError:
        with files.open(str(report), "w") as file:
            file.write("what to do instead")

    assert report.read_text() == "what to do instead"


def test_an_error_handled_while_writing_does_not_stop_the_file_from_being_written(files, report):
    with files.open(str(report), "w") as file:
        try:
            raise ValueError
        except ValueError:
            file.write("nothing serious")

    assert report.read_text() == "nothing serious"


def test_a_full_disk_leaves_the_old_file(files, report):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))

    try:
        with pytest.raises(OSError), files.open(str(report), "w") as file:
            file.write("more than there is room for")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert report.read_text() == "old"
    assert list(report.parent.iterdir()) == [report]


def test_a_killed_process_leaves_the_old_file_whole(report):
    writer = (
        "import fsspec, sys, time\n"
        "from kedro_mlops.core import files\n"
        "files.register()\n"
        "with fsspec.filesystem('file').open(sys.argv[1], 'w') as file:\n"
        "    file.write('new' * 10_000)\n"
        "    file.flush()\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", writer, str(report)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)

    assert process.returncode == -signal.SIGKILL
    assert report.read_text() == "old"


def test_a_file_has_the_permissions_that_the_umask_leaves(files, tmp_path):
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.touch()

    with files.open(str(atomic), "w") as file:
        file.write("new")

    assert atomic.stat().st_mode == plain.stat().st_mode


def test_appending_and_reading_go_on_as_usual(files, report):
    with files.open(str(report), "a") as file:
        file.write(", and new")

    with files.open(str(report), "r") as file:
        assert file.read() == "old, and new"


def test_missing_folders_are_made_for_a_dataset(files, tmp_path):
    dataset = JSONDataset(filepath=str(tmp_path / "deep" / "down" / "x.json"))

    dataset.save([1])

    assert dataset.load() == [1]


def test_a_folder_appears_when_it_is_filled(tmp_path):
    folder = tmp_path / "models" / "champion"

    with storage.new_folder(folder) as staged:
        (staged / "model").write_text("m")
        assert not folder.exists()

    assert (folder / "model").read_text() == "m"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_that_failed_to_be_filled_is_not_there(tmp_path):
    with pytest.raises(ValueError), storage.new_folder(tmp_path / "champion") as staged:
        (staged / "model").write_text("m")
        raise ValueError

    assert list(tmp_path.iterdir()) == []


def test_a_new_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with storage.new_file(path) as file:
        file.write(b"good")
        assert not path.exists()

    with pytest.raises(ValueError), storage.new_file(path) as file:
        file.write(b"half")
        raise ValueError

    assert path.read_bytes() == b"good"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
