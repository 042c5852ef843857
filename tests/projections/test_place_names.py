"""How places are written for people and programs."""

from cowork.projections.place_names import PlaceNames

NAMES = PlaceNames("g1", {"g1": "reports", "g2": "photos"})


def test_a_place_is_written_as_a_plan_would_write_it() -> None:
    assert NAMES.of("g1", "2023/./a.docx") == "2023/a.docx"
    assert NAMES.of("g2", "a.jpg") == "photos:a.jpg"
    assert NAMES.of("g9", "a.jpg") == "g9:a.jpg"


def test_a_path_of_the_first_folder_that_looks_like_another_folders_is_told_apart() -> None:
    assert NAMES.of("g1", "photos:a.jpg") == "./photos:a.jpg"
    assert NAMES.of("g1", "other:a.jpg") == "other:a.jpg"


def test_an_absolute_path_outside_every_folder_stays_absolute() -> None:
    assert NAMES.of("", "/etc/passwd") == "/etc/passwd"
    assert NAMES.of("", "etc/passwd") == "etc/passwd"
