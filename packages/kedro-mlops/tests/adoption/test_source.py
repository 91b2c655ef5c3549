"""What a project has of a table, and where."""

from kedro_mlops.adoption.opening import open_source
from kedro_mlops.adoption.source import without_credentials

TEXT = "id,size\n1,2.5\n2,3\n"


def test_where_a_table_is_is_shown_without_the_password():
    assert without_credentials("postgresql://a:b@c/d#e") == "postgresql://c/d#e"


def test_a_file_in_the_project_stays_there_and_another_is_copied(tmp_path):
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    for folder in (tmp_path, project / "data"):
        (folder / "rows.csv").write_text(TEXT)

    inside, outside = (
        open_source(str(folder / "rows.csv")) for folder in (project / "data", tmp_path)
    )

    assert (inside.is_copied(project), inside.place(project)) == (False, "data/rows.csv")
    assert (outside.is_copied(project), outside.place(project)) == (True, "data/01_raw/rows.csv")
    assert inside.copies(project) == {}
    assert outside.copies(project) == {"data/01_raw/rows.csv": tmp_path / "rows.csv"}
    (project / "data/01_raw").mkdir()
    (project / "data/01_raw/rows.csv").write_text(TEXT)
    assert outside.copies(project) == {}
    (project / "data/01_raw/rows.csv").write_text(TEXT.replace("3", "4"))
    assert outside.copies(project)


def test_of_a_folder_only_what_is_read_is_copied(tmp_path):
    project = tmp_path / "in/project"
    (project / "data/01_raw/in").mkdir(parents=True)
    for path in ("one.csv", "two.csv", "about.md", "project/README.md", "backup/one.csv"):
        (tmp_path / "in" / path).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / path).write_text(TEXT)
    source = open_source(str(tmp_path / "in"))

    copies = source.copies(project)

    assert copies.keys() == {"data/01_raw/in/one.csv", "data/01_raw/in/two.csv"}
    for path, of in copies.items():
        (project / path).write_text(of.read_text())
    assert source.copies(project) == {}
    (project / "data/01_raw/in/three.csv").write_text(TEXT)
    assert source.copies(project) == copies
