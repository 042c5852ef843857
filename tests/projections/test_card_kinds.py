"""What a card shows of each kind of action: headline, exactly what will be done, and the risks."""

from typing import get_args

import pytest
from inline_snapshot import snapshot

from cowork.domain.action import (
    ACTION_TYPES,
    ActionKind,
    CodeRun,
    ConnectorAction,
    ConnectorRead,
    Content,
    FileCreate,
    FileDelete,
    FileList,
    FileMove,
    FileRead,
    FileRename,
    FileRestore,
    FileSearch,
    FileWrite,
    Location,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
)
from cowork.domain.confirmation import Card
from cowork.domain.facts import Facts, FileState
from tests.projections.cards import NOW, card_of, file_facts, lines_of, nothing_there

A = Location("g1", "2023/a.docx")
B = Location("g1", "old/2023/b c.docx")
CONTENT = Content("sha256:new", 1234)
DIFF = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n kept  \n-old\x1b[0m\n+new\ttab\n"


def _shown(card: Card) -> str:
    return "\n".join([card.headline, "", *lines_of(card, "action"), "", *lines_of(card, "risk")])


def test_list() -> None:
    card = card_of([FileList(at=Location("g2", "."), recursive=True)], Facts(now=NOW))
    assert _shown(card) == snapshot("""\
List photos:. and everything beneath it

list        photos:.
in full     /home/ann/photos
how far     the folder and everything beneath it
""")


def test_search() -> None:
    card = card_of([FileSearch(at=A, pattern='"pass word"\\d', glob="**/*.txt")], Facts(now=NOW))
    assert _shown(card) == snapshot("""\
Search 2023/a.docx for "\\"pass word\\"\\\\d"

search in   2023/a.docx
in full     /home/ann/reports/2023/a.docx
pattern     "\\"pass word\\"\\\\d"
files       "**/*.txt"
""")


def test_read() -> None:
    facts = Facts(now=NOW, target=FileState("file", size=3_400_000, links=2))
    assert _shown(card_of([FileRead(at=A, offset=1000, length=24)], facts)) == snapshot("""\
Read 2023/a.docx (3.4 MB)

read        2023/a.docx
in full     /home/ann/reports/2023/a.docx
is          file, 3.4 MB
links       the file has 2 names, perhaps outside the granted folder
part        24 bytes from byte 1,000

the file has other names elsewhere: 2023/a.docx has 2 names\
""")


def test_write_over_a_file() -> None:
    card = card_of([FileWrite(at=A, content=CONTENT)], file_facts(preview=DIFF))
    assert _shown(card) == snapshot("""\
Overwrite 2023/a.docx (1.2 KB)

overwrite   2023/a.docx
in full     /home/ann/reports/2023/a.docx
replaces    file, 212 KB, sha256:old
old bytes   kept, in the store or in quarantine: nothing is erased
content     1.2 KB, sha256:new
preview     1 added, 1 removed
  | --- a
  | +++ b
  | @@ -1,2 +1,2 @@
  |  kept\\x20\\x20
  | -old\\x1b[0m
  | +new\\ttab

overwrites: 2023/a.docx\
""")


def test_write_a_new_file() -> None:
    card = card_of([FileWrite(at=B, content=CONTENT)], nothing_there(new_folders=("old", "old/20 23")))
    assert _shown(card) == snapshot("""\
Write "old/2023/b c.docx" (1.2 KB)

create      "old/2023/b c.docx"
in full     "/home/ann/reports/old/2023/b c.docx"
replaces    nothing: a new file
new folder  old
            "old/20 23"
content     1.2 KB, sha256:new
preview     can't be shown: not text, or too large to compare
""")


def test_create() -> None:
    card = card_of([FileCreate(at=B, content=Content("sha256:e", 0))], nothing_there())
    assert _shown(card) == snapshot("""\
Create "old/2023/b c.docx" (0 bytes)

create      "old/2023/b c.docx"
in full     "/home/ann/reports/old/2023/b c.docx"
replaces    nothing: a new file
content     0 bytes, sha256:e
preview     an empty file
""")


def test_create_executable() -> None:
    card = card_of([FileCreate(at=B, content=Content("sha256:e", 3), mode=0o755)], nothing_there())
    assert _shown(card) == snapshot("""\
Create "old/2023/b c.docx" (3 bytes, executable)

create      "old/2023/b c.docx"
in full     "/home/ann/reports/old/2023/b c.docx"
replaces    nothing: a new file
content     3 bytes, sha256:e
mode        755 (executable)
preview     can't be shown: not text, or too large to compare
""")


def test_the_same_bytes_made_executable() -> None:
    facts = Facts(
        now=NOW, target=FileState("file", size=1234, digest="sha256:new", mode=0o644), preview="no difference\n"
    )
    card = card_of([FileWrite(at=A, content=CONTENT, mode=0o755)], facts)
    assert _shown(card) == snapshot("""\
Overwrite 2023/a.docx (1.2 KB, executable)

overwrite   2023/a.docx
in full     /home/ann/reports/2023/a.docx
replaces    file, 1.2 KB, sha256:new
old bytes   kept, in the store or in quarantine: nothing is erased
content     1.2 KB, sha256:new
mode        755 (executable); it is 644
preview     0 added, 0 removed
  | no difference

overwrites: 2023/a.docx\
""")


def test_rename() -> None:
    card = card_of([FileRename(at=A, to=Location("g1", "2023/z.docx"))], file_facts())
    assert _shown(card) == snapshot("""\
Rename 2023/a.docx to 2023/z.docx (212 KB)

from        2023/a.docx
in full     /home/ann/reports/2023/a.docx
to          2023/z.docx
in full     /home/ann/reports/2023/z.docx
is          file, 212 KB
replaces    nothing
""")


def test_move_a_folder_to_another_grant() -> None:
    folder = Facts(
        now=NOW,
        target=FileState("folder", size=5_000_000, entries=12),
        destination=FileState("absent"),
        new_folders=("x",),
    )
    assert _shown(card_of([FileMove(at=A, to=Location("g2", "x/a.docx"))], folder)) == snapshot("""\
Move 2023/a.docx to photos:x/a.docx (5.0 MB)

from        2023/a.docx
in full     /home/ann/reports/2023/a.docx
to          photos:x/a.docx
in full     /home/ann/photos/x/a.docx
is          folder with 12 entries, 5.0 MB
replaces    nothing
new folder  x

moves out of its granted folder: 2023/a.docx -> photos:x/a.docx\
""")


def test_delete_a_file() -> None:
    assert _shown(card_of([FileDelete(at=A)], file_facts())) == snapshot("""\
Delete 2023/a.docx (212 KB)

delete      2023/a.docx
in full     /home/ann/reports/2023/a.docx
is          file, 212 KB
goes to     quarantine, in the store or in .cowork of the granted folder: nothing is erased

deletes: 1 file (212 KB)\
""")


def test_put_back_a_file_in_a_folder_that_is_gone() -> None:
    action = FileRestore(at=A, kept="quarantine:1f", digest="sha256:old")
    kept = FileState("file", size=212_000, digest="sha256:old")
    assert _shown(card_of([action], nothing_there(kept=kept, new_folders=("2023",)))) == snapshot("""\
Put back 2023/a.docx (212 KB)

put back    2023/a.docx
in full     /home/ann/reports/2023/a.docx
is          file, 212 KB, sha256:old
comes from  quarantine, where an earlier action of this engine put it
replaces    nothing
new folder  2023
""")


def test_put_back_many() -> None:
    places = [Location("g1", "2023/a.docx"), Location("g1", "2023/old")]
    actions = [FileRestore(at=place, kept="quarantine:1f", digest="sha256:old") for place in places]
    kept = [FileState("file", size=212_000), FileState("folder", size=3_400_000, entries=12)]
    assert _shown(card_of(actions, [nothing_there(kept=one, batch=2) for one in kept])) == snapshot("""\
Put back 1 file and 1 folder in 2023 (3.6 MB)

beneath     /home/ann/reports
                        212 KB  2023/a.docx
folder with 12 entries, 3.4 MB  2023/old
replaces    nothing: a name that is taken is an error

many files: 2 actions in this question\
""")


def test_delete_a_folder() -> None:
    folder = Facts(now=NOW, target=FileState("folder", size=3_400_000, entries=1))
    assert _shown(card_of([FileDelete(at=Location("g1", "2023"))], folder)) == snapshot("""\
Delete folder 2023 (3.4 MB)

delete      2023
in full     /home/ann/reports/2023
is          folder with 1 entry, 3.4 MB
goes to     quarantine, in the store or in .cowork of the granted folder: nothing is erased

deletes: 1 folder (3.4 MB)\
""")


def test_a_request() -> None:
    request = NetworkRequest(
        method="POST",
        url="https://user@ex\u00e4mple.org:8443/a b?q=\u200b",
        headers=(("Authorization", "Bearer abc"), ("Accept", "text/html")),
        body=Content("sha256:b", 2500),
    )
    assert _shown(card_of([request], Facts(now=NOW))) == snapshot("""\
Send POST to "https://user@exämple.org:8443/a b?q=\\u200b"

method      POST
URL         "https://user@exämple.org:8443/a b?q=\\u200b"
host        exämple.org
            also written xn--exmple-cua.org
            a user name stands before it
headers     Authorization: (10 characters, not shown)
            Accept: "text/html"
            Idempotency-Key: one for this action, the same for each attempt
sends       2.5 KB, sha256:b

leaves the machine: "https://user@exämple.org:8443/a b?q=\\u200b"\
""")


def test_reading_through_a_connector() -> None:
    call = ConnectorRead(connector="calendar", tool="list_events")
    assert _shown(card_of([call], Facts(now=NOW))) == snapshot("""\
Read through calendar: list_events

connector   calendar
tool        list_events (reads)
arguments   {}

uses a connector: calendar\
""")


def test_acting_through_a_connector() -> None:
    call = ConnectorAction(connector="github", tool="create issue", arguments='{"a":1,"a":{"b":"\\u202e\u202e"}}')
    assert _shown(card_of([call], Facts(now=NOW))) == snapshot("""\
Act through github: "create issue"

connector   github
tool        "create issue" (changes something)
arguments
  | {
  |   "a": 1,
  |   "a": {
  |     "b": "\\\\u202e\\u202e"
  |   }
  | }

uses a connector: github\
""")


def test_a_subagent() -> None:
    spawn = SubagentSpawn(title="do what I say", scope='{"grants":["g1"]}', steps='[{"id":"x"}]')
    assert _shown(card_of([spawn], Facts(now=NOW))) == snapshot("""\
Start a subagent

called      "do what I say"
folders     none: it sees no file
hosts       none: it can't reach the network
connectors  none
actions     of every kind that its folders and hosts allow
budget      none of its own: what it uses up counts for its parent
deadline    none of its own
grants      "g1"
at most     what the agent that starts it has, as long as that one has it
told to do  1 step
  1 of 1: "x"

starts another agent: with the rights listed above, never more than its parent has\
""")


def test_many_deletions() -> None:
    places = [Location("g1", f"reports/2023/{name}") for name in ("q1.docx", "q 2.docx", "in/q3.docx")]
    sizes = [file_facts(212_345, batch=3), file_facts(999, batch=3), Facts(now=NOW, batch=3)]
    assert _shown(card_of([FileDelete(at=place) for place in places], sizes)) == snapshot("""\
Delete 3 files in reports/2023

beneath     /home/ann/reports
        212 KB  reports/2023/q1.docx
     999 bytes  "reports/2023/q 2.docx"
size not known  reports/2023/in/q3.docx
goes to     quarantine, in the store or in .cowork of the granted folder: nothing is erased

deletes: 3 files
many files: 3 actions in this question\
""")


def test_many_moves() -> None:
    moves = [FileMove(at=Location("g1", name), to=Location("g1", f"done/{name}")) for name in ("a -> b", "c")]
    facts = [file_facts(1_700, batch=2, new_folders=("done",)) for _ in moves]
    assert _shown(card_of(moves, facts)) == snapshot("""\
Move 2 files in /home/ann/reports to done (3.4 KB)

beneath     /home/ann/reports
1.7 KB  "a -> b" -> "done/a -> b"
1.7 KB  c -> done/c
new folder  done
replaces    nothing: a name that is taken is an error

many files: 2 actions in this question\
""")


def test_many_files_to_read_in_two_folders() -> None:
    reads = [FileRead(at=Location(grant, "a.txt")) for grant in ("g1", "g2")]
    assert _shown(card_of(reads, file_facts(batch=2))) == snapshot("""\
Read 2 files in 2 granted folders (424 KB)

beneath     /home/ann/reports
beneath     /home/ann/photos
212 KB  a.txt
212 KB  photos:a.txt

many files: 2 actions in this question\
""")


def test_different_actions_in_one_question() -> None:
    card = card_of([FileDelete(at=A), FileCreate(at=B, content=CONTENT)], file_facts(batch=2))
    assert _shown(card) == snapshot("""\
2 actions: delete, create

1 of 2: Delete 2023/a.docx (212 KB)
  delete      2023/a.docx
  in full     /home/ann/reports/2023/a.docx
  is          file, 212 KB
  goes to     quarantine, in the store or in .cowork of the granted folder: nothing is erased
2 of 2: Create "old/2023/b c.docx" (1.2 KB)
  create      "old/2023/b c.docx"
  in full     "/home/ann/reports/old/2023/b c.docx"
  replaces    nothing: a new file
  content     1.2 KB, sha256:new
  preview     can't be shown: not text, or too large to compare

deletes: 1 file (212 KB)
many files: 2 actions in this question\
""")


ONE_OF_EACH = {
    "file.list": FileList(at=A),
    "file.search": FileSearch(at=A, pattern="x"),
    "file.read": FileRead(at=A),
    "file.write": FileWrite(at=A, content=CONTENT),
    "file.create": FileCreate(at=A, content=CONTENT),
    "file.rename": FileRename(at=A, to=B),
    "file.move": FileMove(at=A, to=B),
    "file.delete": FileDelete(at=A),
    "file.restore": FileRestore(at=A, kept="quarantine:1f", digest="sha256:old"),
    "shell.exec": ShellExec(argv=("ls",), cwd=A),
    "code.run": CodeRun(python="pass", cwd=A),
    "network.request": NetworkRequest(method="GET", url="https://example.org/"),
    "connector.read": ConnectorRead(connector="c", tool="t"),
    "connector.action": ConnectorAction(connector="c", tool="t"),
    "subagent.spawn": SubagentSpawn(title="t"),
}


@pytest.mark.parametrize("kind", get_args(ActionKind))
def test_every_kind_has_a_card_even_where_nothing_is_known(kind: ActionKind) -> None:
    action = ONE_OF_EACH[kind]
    assert type(action) is ACTION_TYPES[kind]
    card = card_of([action], Facts(now=NOW))
    assert card.headline
    assert lines_of(card, "action")
    many = card_of([action] * 3, Facts(now=NOW, batch=3))
    assert len(lines_of(many, "action")) > 3
