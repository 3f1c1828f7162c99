"""What `report` and `compare` read: results and studies, and what is neither, in one line."""

import json

import pytest

from loadgen.report.reading import Points, read
from loadgen.report.result import Result, ResultError, build
from tests.report import made, studies

#: Not read: they follow from the rest.
TOLD_TWICE = {"results", "name", "partial", "reproduce", "detection"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "r.json"
    build(*made.stalled(4)).to_json(path)
    return path


def refused(path):
    with pytest.raises(ResultError) as error:
        read(path)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_result_is_read(file):
    assert isinstance(read(file), Result)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_says_so(file, share):
    text = file.read_text()
    file.write_text(text[: int(share * (len(text) - 3))])
    assert "cut short" in refused(file)


def test_another_schema_is_named(file):
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema": 2}))
    assert refused(file) == f"{file}: a result of schema 2; this version reads schema 1"


def test_outcomes_are_checked_when_they_are_read(file):
    document = json.loads(file.read_text())
    document["outcomes"]["served"] += 1
    file.write_text(json.dumps(document))
    assert "outcomes sum to" in refused(file)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "nonsense", '{"schema": 1, "outcomes": 3}', "\0", "[" * 100_000, "NaN"]
)
def test_what_is_no_result_is_refused(file, text):
    file.write_text(text)
    assert str(file) in refused(file)


def test_any_part_of_another_type_is_refused(file):
    document = json.loads(file.read_text())
    for name in set(document) - TOLD_TWICE:
        for value in (None, 3, "x", [3], {"a": 1}):
            if type(document[name]) is type(value) and value != [3]:
                continue
            file.write_text(json.dumps({**document, name: value}))
            refused(file)


def test_a_part_that_is_missing_is_refused(file):
    document = json.loads(file.read_text())
    for name in set(document) - TOLD_TWICE - {"measured", "point", "warmup_ns", "detection"}:
        file.write_text(json.dumps({key: value for key, value in document.items() if key != name}))
        refused(file)


def test_a_file_that_is_not_there(tmp_path):
    assert refused(tmp_path / "no.json").endswith("No such file or directory")


def test_points_are_told_apart_by_what_varies(tmp_path):
    results = [studies.played(backlog, rate) for rate in (2000.0, 1000.0) for backlog in (511, 63)]
    study = read(studies.written(tmp_path / "s", results, failed=["out of memory\nat once"]))
    assert isinstance(study, Points)
    assert study.varied == ["load.api.rate", "server.listen.backlog"] or study.varied == [
        "server.listen.backlog", "load.api.rate"]  # fmt: skip
    assert [point.values["server.listen.backlog"] for point in study.points].count(63) == 2
    assert study.failed == (("cd0", "out of memory at once"),)


def test_more_seeds_are_no_other_point(tmp_path):
    results = [studies.played(63, seeds=4), studies.played(511, seeds=8)]
    assert read(studies.written(tmp_path / "s", results)).varied == ["server.listen.backlog"]


def test_a_study_of_another_version(tmp_path):
    folder = studies.written(tmp_path / "s", [studies.played()], schema=9)
    assert refused(folder).endswith("a study of schema 9; this version reads schema 1")


def test_a_folder_that_is_no_study(tmp_path):
    assert "there is no study.toml" in refused(tmp_path)
    (tmp_path / "study.toml").write_text("= [")
    assert "not TOML" in refused(tmp_path)
    (tmp_path / "study.toml").write_text("schema = 1")
    assert "its hash is not that of what it says" in refused(tmp_path)


def test_a_study_without_a_point_and_one_that_was_changed_by_hand(tmp_path):
    folder = studies.written(tmp_path / "s", [])
    assert "no point of this study has been played" in refused(folder)
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace("behaviour = 1", "behaviour = 2"))
    assert "it was changed by hand, or cut off" in refused(folder)


def test_a_point_that_is_cut_names_its_file(tmp_path):
    folder = studies.written(tmp_path / "s", [studies.played()])
    (folder / "points" / "ab" / "ab000.json").write_text('{"schema": 1,')
    assert "ab000.json: cut short" in refused(folder)
