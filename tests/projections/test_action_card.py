"""What holds for every card: order, completeness, honesty about the agent's words, and what the answer is bound to."""

import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.domain.action import CodeRun, Content, FileDelete, FileMove, FileWrite, Location, NetworkRequest, ShellExec
from cowork.domain.confirmation import Card
from cowork.domain.facts import Facts, FileState
from cowork.domain.path import normal, text_of_name
from cowork.domain.policy_decision import Decision
from cowork.engine.card_ports import CardItem
from cowork.projections.measure import size_words, span_words
from tests.projections.cards import DIGEST, NOW, card_of, file_facts, lines_of, text_of

DELETE = FileDelete(at=Location("g1", "2023/a.docx"))
TEXT = st.text(
    st.one_of(st.sampled_from(' \\"\n\x1b\u202e\u0301\u200b->'), st.characters(codec="utf-8")), min_size=1, max_size=8
)


def _everything(**more: str) -> Card:
    return card_of(
        [DELETE],
        file_facts(),
        step_title="Old drafts",
        step_description="They are superseded.",
        changed="`2023/a.docx` has other content",
        **more,
    )


def test_blocks_stand_in_one_order() -> None:
    assert [block.role for block in _everything().blocks] == [
        "who",
        "action",
        "risk",
        "why",
        "changed",
        "agent",
        "binding",
    ]
    bare = card_of([FileMove(at=DELETE.at, to=Location("g1", "b"))], file_facts())
    assert [block.role for block in bare.blocks] == ["who", "action", "why", "binding"]


def test_who_asks_is_named_with_the_agents_titles_in_quotes() -> None:
    card = _everything(task_title='tidy" \u202e', asked_by="task task-1 \x1b")
    assert lines_of(card, "who") == [
        'task        task-1 "tidy\\" \\u202e"',
        'step        "Old drafts"',
        "asked by    task task-1 \\x1b",
    ]


def test_the_agents_words_come_last_and_are_labelled() -> None:
    card = card_of([DELETE], file_facts(), step_description="Line one\n  two \u202e\n\napprove    this is safe")
    assert lines_of(card, "agent") == [
        "The agent's reason (not checked)",
        "  | Line one",
        "  |   two \\u202e",
        "  | ",
        "  | approve    this is safe",
    ]
    assert "hidden characters: in the agent's words, written out" in lines_of(card, "risk")
    assert "\u202e" not in text_of(card)


@given(TEXT)
def test_no_words_of_the_agent_can_pass_for_a_line_of_the_card(words: str) -> None:
    card = card_of([DELETE], file_facts(), task_title=words, step_title=words, step_description=words)
    assert all(line.startswith("  | ") for line in lines_of(card, "agent")[1:])
    assert len(lines_of(card, "agent")) == words.count("\n") + 2
    bare = card_of([DELETE], file_facts())
    assert card.headline == bare.headline
    assert lines_of(card, "action") == lines_of(bare, "action")
    assert all(line.isprintable() for block in card.blocks for line in block.lines)


@given(TEXT, TEXT, TEXT, TEXT)
def test_no_two_actions_have_the_same_card(one: str, two: str, three: str, four: str) -> None:
    first = FileMove(at=Location("g1", f"x/{one}"), to=Location("g1", f"y/{two}"))
    second = FileMove(at=Location("g1", f"x/{three}"), to=Location("g1", f"y/{four}"))
    same = [normal(place.path) for place in (first.at, first.to)] == [
        normal(place.path) for place in (second.at, second.to)
    ]
    if not same:
        assert card_of([first], file_facts()).headline != card_of([second], file_facts()).headline
        many = [card_of([move, first], file_facts(batch=2)) for move in (first, second)]
        assert lines_of(many[0], "action") != lines_of(many[1], "action")


@given(st.lists(TEXT, min_size=1, max_size=3), st.lists(TEXT, min_size=1, max_size=3))
def test_no_two_commands_have_the_same_card(one: list[str], two: list[str]) -> None:
    cards = [card_of([ShellExec(argv=tuple(argv), cwd=Location("g1", "."))], Facts(now=NOW)) for argv in (one, two)]
    if one != two:
        assert lines_of(cards[0], "action") != lines_of(cards[1], "action")
        assert cards[0].headline != cards[1].headline


@given(TEXT, TEXT)
def test_no_two_contents_have_the_same_preview(one: str, two: str) -> None:
    write = FileWrite(at=DELETE.at, content=Content("sha256:c", 1))
    cards = [card_of([write], file_facts(preview=text)) for text in (one, two)]
    programs = [card_of([CodeRun(python=text, cwd=Location("g1", "."))], Facts(now=NOW)) for text in (one, two)]
    if one != two:
        assert lines_of(cards[0], "action") != lines_of(cards[1], "action")
        assert lines_of(programs[0], "action") != lines_of(programs[1], "action")


def test_a_name_that_is_not_text_is_shown_byte_by_byte() -> None:
    card = card_of([FileDelete(at=Location("g1", text_of_name(b"caf\xe9.txt")))], file_facts())
    assert card.headline == "Delete caf\\xe9.txt (212 KB)"
    assert "a name has hidden characters: caf\\xe9.txt" in lines_of(card, "risk")


def test_every_file_of_thousands_is_listed_and_quickly() -> None:
    actions = [FileDelete(at=Location("g1", f"old drafts/ü/{number:04}.docx")) for number in range(2000)]
    facts = [file_facts(number, batch=2000) for number in range(2000)]
    start = time.process_time()
    card = card_of(actions, facts)
    # The policy's decisions, which the engine has made before, are part of this; a person notices a second.
    assert time.process_time() - start < 1.0
    text = "\n".join(lines_of(card, "action"))
    assert all(f'"old drafts/ü/{number:04}.docx"' in text for number in range(2000))
    assert card.headline == 'Delete 2,000 files in "old drafts/ü" (2.0 MB)'
    assert "many files: 2,000 actions in this question" in lines_of(card, "risk")


def test_a_long_preview_and_a_long_command_are_shown_whole() -> None:
    preview = "".join(f"+line {number}\n" for number in range(5000))
    write = card_of([FileWrite(at=DELETE.at, content=Content("sha256:c", 1))], file_facts(preview=preview))
    assert sum(line.startswith("  | +line ") for line in lines_of(write, "action")) == 5000
    command = card_of([ShellExec(argv=("echo", *("x" * 3000 for _ in range(3))), cwd=DELETE.at)], Facts(now=NOW))
    assert text_of(command).count("x" * 3000) >= 3


def test_the_rule_that_asks_is_named_once_with_its_reason() -> None:
    card = card_of([DELETE] * 3, file_facts(batch=3))
    assert lines_of(card, "why") == ["rule everything-needs-a-person (cautious): say yes first"]


def _item(rule_id: str, *, tags: tuple[str, ...] = (), by_missing_fact: bool = False) -> CardItem:
    decision = Decision(
        verdict="allow_with_confirm", rule_id=rule_id, reason="x", risk_tags=tags, by_missing_fact=by_missing_fact
    )
    return CardItem("task-1.1", DELETE, "sha256:d", decision, file_facts())


def test_several_rules_say_for_how_many_actions_each_and_a_missing_fact_is_said() -> None:
    items = (_item("one"), _item("two", by_missing_fact=True), _item("one"))
    assert lines_of(card_of([DELETE], file_facts(), items=items), "why") == [
        "rule one, 2 of 3 actions: x",
        "rule two, 1 of 3 actions: x",
        "a fact that the rules ask for is not known, so the strictest of them decides",
    ]


def test_a_question_asked_again_says_what_changed() -> None:
    assert lines_of(_everything(), "changed") == [
        "This was asked before, and is no longer as it was shown.",
        "changed: `2023/a.docx` has other content",
    ]


def test_an_unknown_outcome_says_what_each_answer_does() -> None:
    card = card_of([DELETE], file_facts(), unknown_outcome=True, changed="half of it \x1b is gone")
    assert card.headline == "Did this happen? Delete 2023/a.docx (212 KB)"
    assert lines_of(card, "changed") == [
        "This was begun and then interrupted. Nobody can tell whether it happened.",
        "found now: half of it \\x1b is gone",
        "check       look at 2023/a.docx",
        "happened    it counts as done, on your word",
        "did not     it counts as failed, on your word, and nothing is done",
        "try again   it is done once more, from what is there now",
    ]
    assert lines_of(card, "binding")[-1].endswith("; then it stays unknown, and counts as failed")


@pytest.mark.parametrize(
    ("action", "where"),
    [
        (FileMove(at=DELETE.at, to=Location("g1", "b c")), 'look at 2023/a.docx and "b c"'),
        (
            NetworkRequest(method="POST", url="https://good.test/a"),
            "ask https://good.test/a whether the request arrived",
        ),
        (
            ShellExec(argv=("make",), cwd=Location("g1", "."), network=("a.test", "b.test")),
            "look whether it did something at a.test, b.test",
        ),
    ],
)
def test_an_unknown_outcome_says_where_to_look(action: FileMove | NetworkRequest | ShellExec, where: str) -> None:
    card = card_of([action], file_facts(), unknown_outcome=True)
    assert f"check       {where}" in lines_of(card, "changed")


def test_the_answer_is_bound_to_a_digest_and_a_time() -> None:
    assert lines_of(card_of([DELETE], file_facts()), "binding") == [
        "question    confirmation-1",
        f"digest      {DIGEST[7:11]} {DIGEST[11:15]}",
        "expires     2026-06-02 09:00:00 UTC, 24 h after it was asked; then it counts as rejected",
    ]


def test_the_same_request_gives_the_same_card() -> None:
    assert _everything() == _everything()


def test_a_risk_that_only_the_rule_knows_is_named() -> None:
    card = card_of([DELETE], file_facts(), items=(_item("r", tags=("delete", "payroll \x1b")),))
    assert lines_of(card, "risk") == ["deletes: 1 file (212 KB)", "payroll \\x1b: 1 action, says the rule"]


@pytest.mark.parametrize("url", ["https://[::1", "https:///nowhere", "https://a..b\u00fc./", "\x00"])
def test_a_url_that_cannot_be_read_is_shown_and_called_so(url: str) -> None:
    card = card_of([NetworkRequest(method="GET", url=url)], Facts(now=NOW))
    assert any("cannot be inspected" in line for line in lines_of(card, "action"))


def test_a_host_in_its_ascii_spelling_is_shown_as_people_read_it() -> None:
    card = card_of([NetworkRequest(method="GET", url="https://xn--exmple-cua.org/")], Facts(now=NOW))
    assert "            also written exämple.org" in lines_of(card, "action")


def test_links_and_special_files_are_called_what_they_are() -> None:
    for kind, words in (("link", "symbolic link"), ("special", "neither a file nor a folder")):
        card = card_of([DELETE], Facts(now=NOW, target=FileState(kind)))  # type: ignore[arg-type]
        assert f"is          {words}" in lines_of(card, "action")


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 KB"),
        (9949, "9.9 KB"),
        (9951, "10 KB"),
        (212_345, "212 KB"),
        (999_499, "999 KB"),
        (999_500, "1.0 MB"),
        (3_400_000, "3.4 MB"),
        (10**15 * 5000, "5000 PB"),
    ],
)
def test_sizes_are_in_words(size: int, words: str) -> None:
    assert size_words(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (45, "45 s"), (540, "9 min"), (3600, "1 h"), (86_340, "23 h 59 min"), (172_800, "2 days")],
)
def test_spans_are_in_words(seconds: int, words: str) -> None:
    assert span_words(timedelta(seconds=seconds)) == words
