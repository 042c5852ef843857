"""Automata against the evaluator's own matching, on every short path; and against the lists of places."""

import itertools
from random import Random

import pytest

from cowork.domain.places import look_at
from cowork.domain.policy_automaton import (
    EXECUTED_NAMES,
    HIDDEN,
    SENSITIVE_NAMES,
    Language,
    Shape,
    Word,
    extension_language,
    find_word,
    glob_language,
    is_apart,
    is_included,
    text_language,
)
from cowork.domain.policy_circuit import Fact
from cowork.domain.policy_column import tool_regex
from cowork.domain.policy_document import TimeWindow
from cowork.domain.policy_fact_search import TimeSearch, find_host, find_tool
from cowork.domain.policy_glob import glob_matches
from cowork.domain.policy_host import is_listed, parse_host
from cowork.domain.policy_place import is_absolute, is_under, tidy
from cowork.domain.policy_place_search import Conflict, Place, PlaceSearch
from cowork.domain.policy_window import is_open

SHORT = [
    path
    for length in range(6)
    for path in map("".join, itertools.product("/ab.", repeat=length))
    if is_absolute(path) and tidy(path) == path
]


def random_glob(random: Random) -> str:
    return "".join(random.choice(("/", "a", "b", "*", "**", "/", ".")) for _ in range(random.randint(1, 6)))


@pytest.mark.parametrize("seed", range(6))
def test_a_path_is_found_exactly_where_there_is_one_and_it_is_the_shortest(seed: int) -> None:
    random = Random(seed)
    found_none = 0
    for _ in range(300):
        globs = [(random_glob(random), random.random() < 0.6) for _ in range(random.randint(1, 3))]
        word = find_word([(glob_language(glob), is_wanted) for glob, is_wanted in globs], Shape())
        fitting = [path for path in SHORT if all(glob_matches(glob, path) is wish for glob, wish in globs)]
        if word is None:
            found_none += 1
            assert fitting == []
        else:
            assert all(glob_matches(glob, word.text) is wish for glob, wish in globs)
            assert is_absolute(word.text)
            assert tidy(word.text) == word.text
            assert not fitting or len(word.text) <= min(map(len, fitting))
    assert 50 < found_none < 280


@pytest.mark.parametrize("seed", range(4))
def test_inclusion_and_disjointness_agree_with_every_short_path(seed: int) -> None:
    random = Random(100 + seed)
    answers = set()
    for _ in range(300):
        one, other = random_glob(random), random_glob(random)
        matched, also = ({path for path in SHORT if glob_matches(glob, path)} for glob in (one, other))
        answers.add((is_included(one, other), is_apart(one, other)))
        if is_included(one, other):
            assert matched <= also
        if is_apart(one, other):
            assert not matched & also
    assert answers == {(True, True), (True, False), (False, True), (False, False)}


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        ("/ws/a/**", "/ws/**", True),
        ("/ws/**", "/ws/a/**", False),
        ("**/*.pdf", "**/*.p*", True),
        ("**/.env.local", "**/.env*", True),
        ("**/.env*", "**/.env", False),
        ("/ws/*/x", "/ws/**/x", True),
        ("/ws/**/x", "/ws/*/x", False),
        ("**", "/**", True),
        ("/ws/*", "/ws/**", True),
    ],
)
def test_known_inclusions(inner: str, outer: str, expected: bool) -> None:
    assert is_included(inner, outer) is expected


@pytest.mark.parametrize("pattern", ["a/**", "/ws/", "/ws//a", "/ws/./a", "/ws/../a", "x", ""])
def test_no_path_is_written_like_that(pattern: str) -> None:
    assert find_word([(glob_language(pattern), True)], Shape()) is None


LISTS: dict[str, Language] = {"hidden": HIDDEN, "sensitive": SENSITIVE_NAMES, "executed": EXECUTED_NAMES}


def is_on_list(name: str, below: str) -> bool:
    look = look_at(below)
    return {"hidden": "/." in below, "sensitive": look.sensitive, "executed": look.executed}[name]


@pytest.mark.parametrize("name", LISTS)
def test_the_lists_of_places_are_those_of_the_evaluator(name: str) -> None:
    random = Random(name)
    names = [
        *("a", ".env", ".ENV.local", "id_rsa", "x.pem", "X.Key", ".git", "hooks", "config", "secrets", "secretsx"),
        *(".ssh", "claude.md", "CLAUDE.md. ", ".mcp.json", ".config", "fish", "secrets..", "credentials", ".envrc"),
        *("\uff0eenv", "\uff33ecrets", ".pem", "..."),
    ]
    hits = 0
    for _ in range(800):
        parts = random.choices(names, k=random.randint(1, 4))
        path = "/" + "/".join(parts)
        exact = glob_language(path)
        word = find_word([(exact, True), (LISTS[name], True)], Shape(is_marked=True))
        roots = ["/", *("/" + "/".join(parts[:count]) for count in range(1, len(parts) + 1))]
        belows = [path if one == "/" else path[len(one) :] for one in roots]
        assert (word is not None) is any(is_on_list(name, below) for below in belows), path
        if word is not None:
            assert word.root is not None
            assert is_under(path, word.root)
            assert is_on_list(name, path if word.root == "/" else path[len(word.root) :])
            hits += 1
    assert hits > 100


def test_look_alikes_get_past_patterns_and_not_past_the_list() -> None:
    # Every entry of the list has an s, a dot or an underscore.
    patterns = [(glob_language(f"**{character}**"), False) for character in "sS._"]
    word = find_word([(SENSITIVE_NAMES, True), *patterns], Shape(is_marked=True))
    assert word is not None
    assert not word.text.isascii()
    assert word.root is not None
    assert look_at(word.text if word.root == "/" else word.text[len(word.root) :]).sensitive


def test_extensions_compare_without_upper_and_lower_case() -> None:
    md = extension_language(".MD")
    assert find_word([(md, True), (glob_language("**.md"), False)], Shape()) == Word("/.mD", None)
    assert find_word([(extension_language("md"), True)], Shape()) is None


@pytest.mark.parametrize("seed", range(4))
def test_a_place_is_found_or_its_facts_really_exclude_each_other(seed: int) -> None:
    random = Random(seed)
    search = PlaceSearch(is_inner=seed % 2 == 0)
    globs = ("/**", "**/a", "**/.env*", "/ws/**", "**/*.md", "/ws/*/b", "**/secrets/**", "/a")
    conflicts = 0
    for _ in range(250):
        facts = [Fact("glob", one) for one in globs] + [Fact(name) for name in LISTS] + [Fact("extension", ".md")]
        wants = {fact: random.random() < 0.5 for fact in random.sample(facts, random.randint(1, 5))}
        found = search.find(wants)
        if isinstance(found, Place):
            below = found.path if found.root == "/" else found.path[len(found.root) :]
            assert is_under(found.path, found.root)
            for fact, wish in wants.items():
                if fact.name == "glob":
                    assert glob_matches(str(fact.value), found.path) is wish
                elif fact.name in LISTS:
                    assert is_on_list(fact.name, below) is wish
        else:
            conflicts += 1
            assert found.facts.items() <= wants.items()
            for path in SHORT:
                assert not all(
                    glob_matches(str(fact.value), path) is wish if fact.name == "glob" else False
                    for fact, wish in found.facts.items()
                )
    assert conflicts > 20


TOOLS = ("mail_*", "*send*", "*", "a*b", "a*", "*b", "ab", "a*a")
HOSTS = ("a.com", "*.a.com", "a.com:8443", "a.com:*", "b.a.com", "*.b.a.com", "a.com:80", "127.0.0.1:*", "c.com")


def test_a_tool_is_found_exactly_where_there_is_one() -> None:
    import re

    names = ["".join(letters) for length in range(1, 5) for letters in itertools.product("abx", repeat=length)]
    random, conflicts = Random(1), 0
    for _ in range(400):
        wants = {Fact("tool", one): random.random() < 0.5 for one in random.sample(TOOLS, 3)}

        def fits(name: str, wants: dict[Fact, bool] = wants) -> bool:
            return all(
                (re.fullmatch(tool_regex(str(fact.value)), name, re.DOTALL) is not None) is wish
                for fact, wish in wants.items()
            )

        found = find_tool(wants)
        if isinstance(found, Conflict):
            conflicts += 1
            assert not any(fits(name) for name in names)
        else:
            assert fits(found)
    assert conflicts > 20
    assert find_word([(text_language("a*"), True), (text_language("*"), False)], Shape(is_path=False)) is None


def test_a_host_is_found_exactly_where_there_is_one() -> None:
    ports = ("", ":80", ":443", ":8443", ":9")
    names = ("a.com", "b.a.com", "x.a.com", "x.b.a.com", "127.0.0.1", "c.com", "d.org")
    random, conflicts = Random(2), 0
    for _ in range(600):
        wants = {Fact("host", one): random.random() < 0.5 for one in random.sample(HOSTS, random.randint(1, 4))}

        def fits(text: str, wants: dict[Fact, bool] = wants) -> bool:
            host = parse_host(text)
            assert host is not None
            return all(is_listed(host, [str(fact.value)]) is wish for fact, wish in wants.items())

        found = find_host(wants)
        if isinstance(found, Conflict):
            conflicts += 1
            assert not any(fits(name + port) for name in names for port in ports)
            assert found.facts.items() <= wants.items()
        else:
            assert fits(found), (found, wants)
    assert conflicts > 50


WINDOWS = (
    TimeWindow(from_="09:00", to="17:00"),
    TimeWindow(from_="17:00", to="09:00"),
    TimeWindow(days=("mon",), from_="22:00", to="06:00"),
    TimeWindow(days=("tue",)),
    TimeWindow(not_before="2026-03-01T00:00:00Z", not_after="2026-03-03T00:00:00Z"),
    TimeWindow(not_after="2026-03-02T12:00:00Z", from_="10:00"),
    TimeWindow(from_="08:00", to="08:00"),
)


def test_a_time_is_found_exactly_where_there_is_one() -> None:
    from datetime import UTC, datetime, timedelta

    minutes = [datetime(2026, 2, 20, tzinfo=UTC) + timedelta(minutes=15 * number) for number in range(4 * 24 * 20)]
    cells = {tuple(is_open(window, instant) for window in WINDOWS) for instant in minutes}
    search, random, conflicts = TimeSearch(WINDOWS), Random(3), 0
    assert search.is_exact
    for _ in range(300):
        chosen = random.sample(range(len(WINDOWS)), random.randint(1, 4))
        wants = {Fact("time_window", WINDOWS[number]): random.random() < 0.5 for number in chosen}
        wishes = {number: wants[Fact("time_window", WINDOWS[number])] for number in chosen}
        found = search.find(wants)
        if isinstance(found, Conflict):
            conflicts += 1
            assert not any(all(cell[number] is wish for number, wish in wishes.items()) for cell in cells)
        else:
            assert all(is_open(WINDOWS[number], found) is wish for number, wish in wishes.items())
    assert conflicts > 30
