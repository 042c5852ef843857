"""What a card shows of a subagent to be started, of several actions in one step, and of who else writes there."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from cowork.domain.action import Action, Content, FileCreate, FileDelete, FileMove, Location, ShellExec, SubagentSpawn
from cowork.domain.facts import Facts
from cowork.projections.visible_text import quoted, visible
from tests.projections.cards import NOW, card_of, file_facts, lines_of, text_of

A = Location("g1", "2023/a.docx")
B = Location("g2", "b.docx")

SCOPE: dict[str, Any] = {
    "folders": ["photos:2024", {"path": "out dir", "verbs": ["read", "create"], "outputs": ["out dir/new"]}],
    "hosts": ["example.org"],
    "connectors": ["calendar"],
    "kinds": ["file.read", "file.create"],
    "budget": {"wall_s": 600, "actions": 20, "bytes_written": 1_000_000, "cost": "2.50"},
    "deadline_s": 5400,
}
STEPS: list[dict[str, Any]] = [
    {"id": "read", "title": "Read it", "action": {"kind": "file.read", "path": "photos:2024/x"}},
    {
        "id": "write",
        "needs": ["read"],
        "description": "trust me",
        "action": {"kind": "file.create", "path": "out dir/new/a.txt", "text": "one\ntwo\u202e"},
    },
    {
        "id": "run",
        "action": {
            "kind": "shell.exec",
            "argv": ["tidy", "--all"],
            "env": {"API_TOKEN": "abc", "LANG": "C"},
            "timeout_s": 5,
        },
    },
    {
        "id": "help",
        "action": {
            "kind": "subagent.spawn",
            "title": "inner",
            "scope": {"folders": ["out dir"]},
            "step": [{"id": "look", "action": {"kind": "file.list", "path": "out dir", "recursive": True}}],
        },
    },
]


def _spawn(scope: object, steps: object) -> SubagentSpawn:
    return SubagentSpawn(title="sort the photos", scope=json.dumps(scope), steps=json.dumps(steps))


def _lines(action: Action) -> list[str]:
    return lines_of(card_of([action], Facts(now=NOW)), "action")


def test_a_subagent_is_shown_with_its_rights_in_words_and_every_step_whole() -> None:
    assert "\n".join(_lines(_spawn(SCOPE, STEPS))) == snapshot("""\
called      "sort the photos"
folders     photos:2024: read
            "out dir": read, create; its results go to "out dir/new"
hosts       example.org
connectors  calendar
actions     file.read
            file.create
budget      10 min of work
            20 actions
            1.0 MB written
            2.50 of money
deadline    1 h 30 min after it starts
at most     what the agent that starts it has, as long as that one has it
told to do  4 steps
  1 of 4: "read" "Read it"
    does        file.read
    path        "photos:2024/x"
  2 of 4: "write"
    needs       "read"
    description "trust me"
    does        file.create
    path        "out dir/new/a.txt"
    text
      | one
      | two\\u202e
  3 of 4: "run"
    does        shell.exec
    argv        "tidy"
                "--all"
    env         API_TOKEN: (3 characters, not shown)
                LANG: "C"
    timeout_s   5
  4 of 4: "help"
    does        subagent.spawn
    title       "inner"
    folders     "out dir": read
    hosts       none: it can't reach the network
    connectors  none
    actions     of every kind that its folders and hosts allow
    budget      none of its own: what it uses up counts for its parent
    deadline    none of its own
    at most     what the agent that starts it has, as long as that one has it
    told to do  1 step
      1 of 1: "look"
        does        file.list
        path        "out dir"
        recursive   true\
""")


def test_a_key_that_is_given_twice_is_there_to_be_seen_twice() -> None:
    spawn = SubagentSpawn(title="t", scope='{"hosts":[],"hosts":["evil.example"]}', steps='[{"id":"a","id":"b"}]')
    shown = "\n".join(_lines(spawn))
    assert shown.count('"hosts"') == shown.count('"id"') == 2
    assert "evil.example" in shown


@pytest.mark.parametrize("text", ["nonsense", "[1", "7", "null", '["a"]', "[" * 5000 + "]" * 5000])
def test_what_is_no_scope_and_no_steps_is_shown_as_it_stands(text: str) -> None:
    shown = "".join(_lines(SubagentSpawn(title="t", scope=text, steps=text))).replace(" ", "").replace("|", "")
    assert shown.count(text) == 2


@pytest.mark.parametrize(
    "scope",
    [
        {"folders": "all"},
        {"folders": [{"path": "a", "verbs": "write"}]},
        {"folders": [{"path": "a", "force": True}]},
        {"hosts": {"a": 1}},
        {"budget": {"wall_s": 10**30, "luck": 7}},
        {"budget": 7, "deadline_s": "soon"},
        {"kinds": []},
    ],
)
def test_a_wish_that_cannot_be_put_in_words_is_shown_all_the_same(scope: dict[str, Any]) -> None:
    shown = "\n".join(_lines(_spawn(scope, [])))
    for value in _leaves(scope):
        assert visible(str(value) if isinstance(value, str) else json.dumps(value)) in shown
    if scope == {"kinds": []}:
        assert "actions     none at all" in shown


def _leaves(value: object) -> list[object]:
    match value:
        case dict():
            return [leaf for one in value.values() for leaf in _leaves(one)]
        case list():
            return [leaf for one in value for leaf in _leaves(one)]
        case _:
            return [value]


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(_JSON, st.lists(st.dictionaries(st.sampled_from(["id", "title", "needs", "action", "x"]), _JSON), max_size=3))
def test_no_text_of_any_step_is_left_out(scope: object, steps: list[dict[str, Any]]) -> None:
    shown = "".join(_lines(_spawn(scope, steps))).replace("  | ", "").replace(" ", "")
    for leaf in _leaves(steps):
        if isinstance(leaf, str) and "\n" not in leaf:
            inside_json = visible(json.dumps(leaf, ensure_ascii=False))[1:-1]
            spelt = (visible(leaf), quoted(leaf)[1:-1], inside_json)
            assert any(one.replace(" ", "") in shown for one in spelt) or _lines_shown(leaf, shown)


def _lines_shown(leaf: str, shown: str) -> bool:
    bare = "".join(character for character in leaf if character.isalnum() and character.isascii())
    return bare in "".join(character for character in shown if character.isalnum())


def test_several_actions_of_one_step_are_one_question_with_each_in_its_turn() -> None:
    move = FileMove(at=A, to=Location("g1", "old/a.docx"))
    card = card_of([FileDelete(at=B), move], [file_facts(batch=2), file_facts(batch=2)])
    assert card.headline == "2 actions: delete, move"
    assert "\n".join(lines_of(card, "action")) == snapshot("""\
1 of 2: Delete photos:b.docx (212 KB)
  delete      photos:b.docx
  in full     /home/ann/photos/b.docx
  is          file, 212 KB
  goes to     quarantine, in the store or in .cowork of the granted folder: nothing is erased
2 of 2: Move 2023/a.docx to old/a.docx (212 KB)
  from        2023/a.docx
  in full     /home/ann/reports/2023/a.docx
  to          old/a.docx
  in full     /home/ann/reports/old/a.docx
  is          file, 212 KB
  replaces    nothing\
""")


def test_a_place_where_another_agent_writes_names_that_agent() -> None:
    card = card_of([FileDelete(at=A)], file_facts(claimed_by="task-1-s3"))
    assert lines_of(card, "action")[-1] == (
        "beside      task-1-s3, which has not ended, writes at 2023/a.docx, above it or beneath it"
    )


def test_a_place_where_several_others_write_names_them_all() -> None:
    card = card_of([FileDelete(at=A)], file_facts(claimed_by="task-1-s3, task-1-s4"))
    assert lines_of(card, "action")[-2:] == [
        "beside      task-1-s3, which has not ended, writes at 2023/a.docx, above it or beneath it",
        "            task-1-s4, which has not ended, writes at 2023/a.docx, above it or beneath it",
    ]


def test_of_many_places_those_where_others_write_are_named_one_by_one() -> None:
    free, taken = file_facts(batch=3), file_facts(batch=3, claimed_by="task-1-s3")
    places = [Location("g1", f"{name}.txt") for name in "abc"]
    card = card_of([FileDelete(at=place) for place in places], [free, taken, taken])
    assert lines_of(card, "action")[-2:] == [
        "beside      task-1-s3, which has not ended, writes at b.txt, above it or beneath it",
        "            task-1-s3, which has not ended, writes at c.txt, above it or beneath it",
    ]


def test_who_asks_is_told_with_all_above_and_nothing_hidden() -> None:
    chain = "task task-1 › subagent subagent-1-s3 › subagent subagent-1-s3-s1\u202e"
    card = card_of([ShellExec(argv=("ls",), cwd=A)], Facts(now=NOW), asked_by=chain)
    assert lines_of(card, "who")[-1] == f"asked by    {chain[:-1]}\\u202e"
    assert "\u202e" not in text_of(card)


def test_a_new_file_that_another_agent_claimed_says_so_too() -> None:
    create = FileCreate(at=B, content=Content("sha256:new", 3))
    card = card_of([create], Facts(now=NOW, claimed_by="task-1"))
    assert any(line.startswith("beside      task-1, ") for line in lines_of(card, "action"))
