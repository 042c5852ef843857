"""Cases of files that hold secrets."""

import json

from cowork.domain.action import FileList, FileRead, FileSearch, FileWrite
from tests.adapters.files.cases.case import Answer, Case
from tests.adapters.files.cases.ground import Ground

SECRET_NAMES = (".env", "id_rsa", "server.pem", ".netrc", "credentials.json")
SECRET = "SECRET-8d1f: not to be quoted"


def _secrets(ground: Ground) -> None:
    for name in SECRET_NAMES:
        (ground.grant / name).write_text(f"{SECRET} in {name}\n")
    (ground.grant / "plain.txt").write_text("SECRET is a word\n")


def _secrets_stay(ground: Ground, answers: list[Answer]) -> None:
    listed, found = answers
    assert {entry["path"] for entry in json.loads(listed.result)} == {*SECRET_NAMES, "plain.txt"}
    matches = json.loads(found.result)
    assert [match["path"] for match in matches["matches"]] == ["plain.txt"]
    assert sum(matches["skipped"].values()) == len(SECRET_NAMES)
    assert all(SECRET.encode() not in answer.shown for answer in answers)


def _none_shown(_ground: Ground, answers: list[Answer]) -> None:
    assert [answer for answer in answers if SECRET.encode() in answer.shown] == []


SECRETS = (
    Case(
        id="FIL-36",
        title="secrets are listed, and never quoted by a search",
        arrange=_secrets,
        ask=lambda g: [FileList(at=g.at(".")), FileSearch(at=g.at("."), pattern="SECRET")],
        allowed=("completed",),
        check=_secrets_stay,
    ),
    Case(
        id="FIL-36-closed",
        title="secrets are neither read nor searched by name, and no difference of them is shown",
        arrange=_secrets,
        ask=lambda g: [
            action
            for name in SECRET_NAMES
            for action in (
                FileRead(at=g.at(name)),
                FileSearch(at=g.at(name), pattern="."),
                FileWrite(at=g.at(name), content=g.content("x")),
            )
        ],
        allowed=("denied/sensitive",),
        check=_none_shown,
    ),
)
