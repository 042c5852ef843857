"""A plan file is read whole or refused in one sentence that names the offending value."""

import base64
import json
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.adapters.planners.plan_file import PlanFile
from cowork.domain.action import ACTION_TYPES, FileCreate, FileMove, FileWrite, Location, ShellExec, kind_of
from cowork.domain.errors import DomainError
from cowork.domain.plan import Batch, Listed
from cowork.engine.planning_ports import PlannedTask


def plan_of(path: Path) -> PlannedTask:
    return anyio.run(PlanFile(path).plan)


def written(folder: Path, text: str, name: str = "plan.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def refusal(path: Path) -> DomainError:
    with pytest.raises(DomainError) as caught:
        plan_of(path)
    return caught.value


ONE_STEP = '[[step]]\nid = "a"\naction = {{ {} }}\n'
CHANGES = '[[step]]\nid = "a"\nchanges = {}\naction = {{ {} }}\n'


def test_a_plan_says_the_same_in_toml_and_in_json(tmp_path: Path) -> None:
    toml = written(
        tmp_path,
        'title = "T"\non_ask = "skip"\n[[step]]\nid = "a"\naction = { kind = "file.list", path = "." }\n'
        '[[step]]\nid = "b"\nneeds = ["a"]\naction = { kind = "file.move", match = "**/*.csv", to = "x/" }\n',
    )
    same = {
        "title": "T",
        "on_ask": "skip",
        "step": [
            {"id": "a", "action": {"kind": "file.list", "path": "."}},
            {"id": "b", "needs": ["a"], "action": {"kind": "file.move", "match": "**/*.csv", "to": "x/"}},
        ],
    }
    from_toml = plan_of(toml).plan
    from_json = plan_of(written(tmp_path, json.dumps(same), "plan.json")).plan

    assert (from_toml.title, from_toml.on_ask, from_toml.steps) == (
        from_json.title,
        from_json.on_ask,
        from_json.steps,
    )
    assert from_toml.steps[1].request == Batch(of="file.move", match="**/*.csv", to="x/")


def test_content_travels_beside_the_plan_and_the_action_has_its_digest(tmp_path: Path) -> None:
    raw = bytes(range(256))
    text = ONE_STEP.format(f'kind = "file.create", path = "x.bin", content_base64 = "{base64.b64encode(raw).decode()}"')
    planned = plan_of(written(tmp_path, text))

    request = planned.plan.steps[0].request
    assert isinstance(request, FileCreate)
    assert planned.contents == (raw,)
    assert request.content.size == 256


EXAMPLES = {
    "file.list": 'path = "."',
    "file.search": 'path = ".", pattern = "x+"',
    "file.read": 'path = "a"',
    "file.write": 'path = "a", content = "x"',
    "file.create": 'path = "a", content = "x"',
    "file.rename": 'path = "a", to = "b"',
    "file.move": 'path = "a", to = "b/"',
    "file.delete": 'match = "*.tmp"',
    "shell.exec": 'argv = ["ls", "-l"], env = { B = "2", A = "1" }',
    "code.run": 'python = "print(1)"',
    "network.request": 'method = "GET", url = "https://example.org/"',
    "connector.read": 'connector = "c", tool = "t", arguments = { b = 1, a = [2] }',
    "connector.action": 'connector = "c", tool = "t"',
    "subagent.spawn": 'title = "helper", step = [{ id = "x", action = { kind = "file.read", path = "a" } }]',
}


@pytest.mark.parametrize("kind", sorted(set(ACTION_TYPES) - {"file.restore"}))
def test_every_kind_can_be_planned(tmp_path: Path, kind: str) -> None:
    request = plan_of(written(tmp_path, ONE_STEP.format(f'kind = "{kind}", {EXAMPLES[kind]}'))).plan.steps[0].request

    assert not isinstance(request, Listed)
    assert (request.of if isinstance(request, Batch) else kind_of(request)) == kind


def test_putting_back_and_bases_are_the_engines_own_and_in_no_plan(tmp_path: Path) -> None:
    digest = f"sha256:{'0' * 64}"
    for text in (
        f'kind = "file.restore", path = "a", kept = "quarantine:{"0" * 24}", digest = "{digest}"',
        f'kind = "file.delete", path = "a", base = "{digest}"',
        f'kind = "file.write", path = "a", content = "", base = "{digest}"',
    ):
        with pytest.raises(DomainError) as refused:
            plan_of(written(tmp_path, ONE_STEP.format(text)))
        assert refused.value.code == "invalid"


@pytest.mark.parametrize(("length", "is_refused"), [(8192, False), (8193, True)])
def test_a_url_may_be_as_long_as_one_that_is_asked_for(tmp_path: Path, length: int, *, is_refused: bool) -> None:
    url = "https://example.org/".ljust(length, "q")
    path = written(tmp_path, ONE_STEP.format(f'kind = "network.request", method = "GET", url = "{url}"'))
    if is_refused:
        assert "at most 8192 characters" in refusal(path).message
    else:
        assert len(plan_of(path).plan.steps) == 1


def test_a_move_of_one_path_is_one_action(tmp_path: Path) -> None:
    text = ONE_STEP.format('kind = "file.move", path = "a", to = "photos:b"')

    assert plan_of(written(tmp_path, text)).plan.steps[0].request == FileMove(
        at=Location("", "a"), to=Location("", "photos:b")
    )


@pytest.mark.parametrize(("text", "mode"), [("755", 0o755), ("0644", 0o644), ("000", 0)])
@pytest.mark.parametrize("kind", ["file.create", "file.write"])
def test_a_mode_is_octal_digits(tmp_path: Path, kind: str, text: str, mode: int) -> None:
    planned = plan_of(written(tmp_path, ONE_STEP.format(f'kind = "{kind}", path = "a", content = "", mode = "{text}"')))

    request = planned.plan.steps[0].request
    assert isinstance(request, FileCreate | FileWrite)
    assert request.mode == mode


def test_environment_additions_have_one_order(tmp_path: Path) -> None:
    request = plan_of(written(tmp_path, ONE_STEP.format(f'kind = "shell.exec", {EXAMPLES["shell.exec"]}')))

    assert isinstance(request.plan.steps[0].request, ShellExec)
    assert request.plan.steps[0].request.env == (("A", "1"), ("B", "2"))


@pytest.mark.parametrize("how", ["each", "together"])
@pytest.mark.parametrize("action", ['kind = "shell.exec", argv = ["x"]', 'kind = "code.run", python = "1"'])
def test_a_step_says_whether_the_changes_of_its_command_go_together(tmp_path: Path, action: str, how: str) -> None:
    text = CHANGES.format(f'"{how}"', f'{action}, writes = "staged"')
    assert plan_of(written(tmp_path, text)).plan.steps[0].changes == how
    unsaid = ONE_STEP.format(f'{action}, writes = "staged"')
    assert plan_of(written(tmp_path, unsaid)).plan.steps[0].changes == "each"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not = = toml", "is not TOML"),
        ('{"title": "x"', "is not TOML"),
        ('title = "x"', "the plan has no steps"),
        ('frob = 1\n[[step]]\nid="a"\naction={kind="file.list",path="."}', "unknown field `frob`"),
        (ONE_STEP.format('kind = "file.frob", path = "x"'), "unknown kind `file.frob`"),
        (ONE_STEP.format('path = "x"'), "the field `kind` is missing"),
        (ONE_STEP.format('kind = "file.read", path = "x", force = true'), "step `a`: unknown field `force`"),
        (ONE_STEP.format('kind = "file.read"'), "give either `path` or `match`"),
        (ONE_STEP.format('kind = "file.read", path = "x", match = "y"'), "give either `path` or `match`"),
        (ONE_STEP.format('kind = "file.move", match = "*", to = "x"'), "must end in `/`"),
        (ONE_STEP.format('kind = "file.create", path = "x"'), "give either `content` or `content_base64`"),
        (ONE_STEP.format('kind = "file.create", path = "x", content_base64 = "?"'), "is not base64"),
        (ONE_STEP.format('kind = "file.create", path = "x", content = "", mode = 755'), "three octal digits"),
        (ONE_STEP.format('kind = "file.create", path = "x", content = "", mode = "0o755"'), 'not "0o755"'),
        (ONE_STEP.format('kind = "file.write", path = "x", content = "", mode = "4755"'), 'not "4755"'),
        (ONE_STEP.format('kind = "file.write", path = "x", content = "", mode = "rwx"'), 'not "rwx"'),
        (ONE_STEP.format('kind = "file.write", path = "x", content = "", mode = ""'), 'not ""'),
        (ONE_STEP.format('kind = "file.read", path = "x", mode = "644"'), "unknown field `mode`"),
        (
            CHANGES.format('"some"', 'kind = "shell.exec", argv = ["x"], writes = "staged"'),
            "`changes` can't be `some`",
        ),
        (CHANGES.format("true", 'kind = "shell.exec", argv = ["x"], writes = "staged"'), "`changes` can't be `true`"),
        (CHANGES.format('"each"', 'kind = "shell.exec", argv = ["x"]'), "step `a`: `changes` goes with a command"),
        (CHANGES.format('"together"', 'kind = "file.delete", match = "*"'), "step `a`: `changes` goes with a command"),
        (ONE_STEP.format('kind = "shell.exec", argv = ["x"], changes = "each"'), "unknown field `changes`"),
        (ONE_STEP.format('kind = "shell.exec", argv = ["x"], writes = "all"'), "`writes` can't be `all`"),
        (ONE_STEP.format('kind = "shell.exec", argv = []'), "`argv` is empty"),
        (ONE_STEP.format('kind = "code.run", python_file = "x.py"'), "unknown field `python_file`"),
        (ONE_STEP.format('kind = "shell.exec", argv = "ls"'), '`argv` can\'t be `"ls"`'),
        (ONE_STEP.format('kind = "file.list", path = 3'), "`path` can't be `3`"),
        (ONE_STEP.format('kind = "file.list", path = "."') * 2, "two steps have the id `a`"),
        ('[[step]]\nid="a"\nneeds=["z"]\naction={kind="file.list",path="."}', "needs `z`, which is not in the plan"),
        ('[[step]]\nid="a"\nneeds=["a"]\naction={kind="file.list",path="."}', "in a circle: `a` -> `a`"),
        ('on_ask = "maybe"\n' + ONE_STEP.format('kind = "file.list", path = "."'), "`on_ask` can't be `maybe`"),
    ],
)
def test_a_bad_plan_is_refused_in_one_sentence_with_the_value(tmp_path: Path, text: str, said: str) -> None:
    error = refusal(written(tmp_path, text))

    assert error.code == "invalid"
    assert said in error.message
    assert "\n" not in error.message.partition("is not TOML")[0]


LIST = 'kind = "file.list", path = "."'
TYPO_IN_A_SUBAGENT = (
    'kind = "subagent.spawn", title = "t", scope = {{ {} }}, step = [{{ id = "q", action = {{ {} }} }}]'
)


def spawning(scope: str, action: str = LIST) -> str:
    return ONE_STEP.format(TYPO_IN_A_SUBAGENT.format(scope, action))


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ('titel = "x"\n' + ONE_STEP.format(LIST), "unknown field `titel`", "did you mean `title`?"),
        (ONE_STEP.format(LIST).replace("[step]", "[steps]"), "unknown field `steps`", "did you mean `step`?"),
        (ONE_STEP.format(LIST) + 'need = ["b"]\n', "step `a`: unknown field `need`", "did you mean `needs`?"),
        (ONE_STEP.format('kind = "file.list", pth = "."'), "unknown field `pth` (and 1 more)", "did you mean `path`?"),
        (ONE_STEP.format('kind = "file.list", qq = "."'), "the field `path` is missing (and 1 more)", "add `path`"),
        ('priority = "5"\n' + ONE_STEP.format(LIST), '`priority` can\'t be `"5"`: it is a whole number', ""),
        (ONE_STEP.format(LIST + ", recursiv = true"), "unknown field `recursiv`", "did you mean `recursive`?"),
        (ONE_STEP.format(LIST + ", to = 1"), "unknown field `to`", "the fields here are: kind, path, recursive"),
        (ONE_STEP.format(LIST).replace("[[step]]", "[step]"), "this is a single table", "write `[[step]]`"),
        (ONE_STEP.format('kind = "file.moov"'), "unknown kind `file.moov`", "did you mean `file.move`?"),
        (ONE_STEP.format("kind = 1"), "`kind` can't be `1`: it is a text", ""),
        ('on_ask = "wiat"\n' + ONE_STEP.format(LIST), "`on_ask` can't be `wiat`", "did you mean `wait`?"),
        ("on_ask = true\n" + ONE_STEP.format(LIST), "`on_ask` can't be `true`", "it is one of: wait, skip, fail"),
        (
            "title = 2024-01-01\n" + ONE_STEP.format(LIST),
            "a date or time, which no field takes: `2024-01-01`",
            "write it in quotes",
        ),
        ("budget = [1]\n" + ONE_STEP.format(LIST), "`budget` can't be `[1]`: it is a table, in `{` and `}`", ""),
        ("budget = { action = 1 }\n" + ONE_STEP.format(LIST), "unknown field `action`", "did you mean `actions`?"),
        ("priority = 1001\n" + ONE_STEP.format(LIST), "`priority` can't be `1001`: it is at most 1000", ""),
        ("answer_within_s = 2592001\n" + ONE_STEP.format(LIST), "`2592001`: it is at most 2592000", ""),
        ("priority = 1.5\n" + ONE_STEP.format(LIST), "`priority` can't be `1.5`: it is a whole number", ""),
        (ONE_STEP.format(LIST).replace('"a"', '""'), "`id` is empty", ""),
        (ONE_STEP.format(LIST) + 'needs = "b"\n', '`needs` can\'t be `"b"`: it is a list, in `[` and `]`', ""),
        (ONE_STEP.format(LIST).replace('"a"', '"look"') + 'needs = ["lok"]\n', "needs `lok`", "did you mean `look`?"),
        (spawning('folders = [{ pth = "." }]'), "subagent `t`: unknown field `pth` (and 1 more)", "did you mean"),
        (spawning('folders = [{ path = ".", verb = [] }]'), "unknown field `verb`", "did you mean `verbs`?"),
        (spawning('folders = [{ path = ".", verbs = ["raed"] }]'), "`verbs` can't be `raed`", "did you mean `read`?"),
        (spawning("folders = [1]"), "`folders` can't be `1`: it is a table, in `{` and `}`", ""),
        (spawning('kinds = ["file.lsit"]'), "subagent `t`: `kinds` can't be `file.lsit`", "did you mean `file.list`?"),
        (spawning('folder = ["."]'), "unknown field `folder`", "did you mean `folders`?"),
        (
            spawning("", 'kind = "file.lst"'),
            "subagent `t`: step `q`: unknown kind `file.lst`",
            "did you mean `file.list`?",
        ),
    ],
)
def test_a_mistake_is_named_as_it_was_written_with_what_may_be_meant(
    tmp_path: Path, text: str, said: str, hint: str
) -> None:
    error = refusal(written(tmp_path, text))
    assert error.message.startswith(f"the plan `{tmp_path / 'plan.toml'}`: ")
    assert said in error.message
    assert error.hint.startswith(hint)
    assert (error.hint == "") is (hint == "")


@pytest.mark.parametrize(
    "text",
    [
        'title = "x"',
        ONE_STEP.format(LIST) * 2,
        ONE_STEP.format(LIST) + 'needs = ["a"]\n',
        ONE_STEP.format(LIST) + 'needs = ["z"]\n',
        ONE_STEP.format('kind = "subagent.spawn", title = "t"'),
    ],
)
def test_every_refusal_of_a_plan_names_its_file(tmp_path: Path, text: str) -> None:
    assert refusal(written(tmp_path, text)).message.startswith(f"the plan `{tmp_path / 'plan.toml'}`: ")


def test_what_no_plan_can_write_is_not_offered(tmp_path: Path) -> None:
    hint = refusal(written(tmp_path, ONE_STEP.format('kind = "qqq"'))).hint
    assert hint.startswith("the kinds are: file.list, ")
    assert "file.restore" not in hint


def test_a_key_given_twice_is_refused_and_never_overwritten(tmp_path: Path) -> None:
    text = '{"step": [{"id": "a", "action": {"kind": "file.read", "path": "safe", "path": "evil"}}]}'

    assert "the key `path` is given twice" in refusal(written(tmp_path, text, "plan.json")).message


def test_half_of_a_character_is_refused(tmp_path: Path) -> None:
    text = '{"step": [{"id": "a", "action": {"kind": "file.read", "path": "x\\ud800y"}}]}'

    assert "half of a character: `\\ud800`" in refusal(written(tmp_path, text, "plan.json")).message


SPAWN = """
[[step]]
id = "s"
[step.action]
kind = "subagent.spawn"
title = "outer"
scope = {{ folders = ["a"] }}
[[step.action.step]]
id = "first"
action = {{ kind = "file.read", path = "a" }}
[[step.action.step]]
id = "second"
[step.action.step.action]
kind = "subagent.spawn"
title = "inner"
{}
"""
A_READ = 'action = { kind = "file.read", path = "a" }'


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        (f'scope = {{ foldrs = ["a"] }}\nstep = [{{ id = "x", {A_READ} }}]', "unknown field `foldrs`"),
        (f'step = [{{ id = "x", needs = ["x"], {A_READ} }}]', "in a circle: `x` -> `x`"),
        ("step = []", "the plan has no steps"),
        ('step = [{ id = "x", action = { kind = "file.frob" } }]', "unknown kind `file.frob`"),
    ],
)
def test_what_is_wrong_with_a_subagent_of_a_subagent_is_found_before_anything_runs(
    tmp_path: Path, inner: str, said: str
) -> None:
    error = refusal(written(tmp_path, SPAWN.format(inner)))
    assert error.code == "invalid"
    assert "subagent `inner`: " in error.message
    assert said in error.message


@pytest.mark.parametrize(("depth", "is_refused"), [(8, False), (9, True), (40, True)])
def test_subagents_nested_too_deep_are_refused_before_anything_runs(
    tmp_path: Path, depth: int, *, is_refused: bool
) -> None:
    steps = [{"id": "x", "action": {"kind": "file.read", "path": "a"}}]
    for level in range(depth, 0, -1):
        action = {"kind": "subagent.spawn", "title": f"level {level}", "scope": {"folders": ["a"]}, "step": steps}
        steps = [{"id": "x", "action": action}]
    path = written(tmp_path, json.dumps({"step": steps}), "plan.json")
    if is_refused:
        assert refusal(path).code == "limit"
        assert refusal(path).message == f"the plan `{path}`: subagent `level 9`: subagents may be nested at most 8 deep"
    else:
        assert len(plan_of(path).plan.steps) == 1


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2026-01-01", "a date or time, which no field takes: `2026-01-01`"),
        ("2026-01-01T00:00:00Z", "`2026-01-01T00:00:00+00:00`"),
        ("07:32:00", "`07:32:00`"),
        ("nan", "a number that is none: `nan`"),
        ("[1, { b = -inf }]", "a number that is none: `-inf`"),
    ],
)
@pytest.mark.parametrize(
    "action",
    [
        'kind = "subagent.spawn", title = "t", scope = {{ deadline_s = {} }}, step = [{{ id = "x", action = {{}} }}]',
        'kind = "subagent.spawn", title = "t", step = [{{ id = "x", action = {{ kind = "file.read", path = {} }} }}]',
        'kind = "connector.read", connector = "c", tool = "t", arguments = {{ a = {} }}',
        'kind = "file.read", path = {}',
    ],
)
def test_what_json_has_no_spelling_for_is_refused_in_one_sentence(
    tmp_path: Path, action: str, value: str, said: str
) -> None:
    error = refusal(written(tmp_path, ONE_STEP.format(action.format(value))))
    assert error.code == "invalid"
    assert said in error.message


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400"])
def test_a_number_that_is_none_is_refused_in_json_too(tmp_path: Path, number: str) -> None:
    action = f'{{"kind": "connector.read", "connector": "c", "tool": "t", "arguments": {{"a": {number}}}}}'
    text = f'{{"step": [{{"id": "a", "action": {action}}}]}}'
    assert "a number that is none" in refusal(written(tmp_path, text, "plan.json")).message


def test_a_missing_file_a_folder_and_a_binary_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")

    assert refusal(tmp_path / "none.toml").code == "not_found"
    assert "is not a file" in refusal(tmp_path).message
    assert "not UTF-8" in refusal(tmp_path / "binary.toml").message


@given(
    st.one_of(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(json.dumps))
)
def test_no_text_makes_anything_but_a_plan_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.plan"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    error = refusal(path)

    assert error.code in ("invalid", "limit")
