"""SHL-25, 26, 27, 31: what a command is given, and what lies in the granted folder, make nothing run outside."""

import random
import stat
import string

import pytest

from cowork.domain.action import Action, FileList, FileRead, FileSearch, Location, ShellExec
from cowork.domain.baseline import BASELINE
from cowork.domain.policy_document import layer_of_rules
from tests.acceptance.sandbox.commands import code, here, shell
from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.playing import Setting, play

pytestmark = pytest.mark.anyio

REFUSED = ("denied/name", "denied/policy")

OF_THE_CASE = (
    *("LD_PRELOAD", "LD_AUDIT", "PYTHONPATH", "PYTHONSTARTUP", "NODE_OPTIONS", "BASH_ENV", "ENV", "GIT_SSH_COMMAND"),
    *("GIT_EXTERNAL_DIFF", "PERL5OPT", "RUBYOPT", "JAVA_TOOL_OPTIONS", "GLIBC_TUNABLES", "IFS", "PS4"),
    *("PROMPT_COMMAND", "PATH"),
)
OF_THE_KIND = (
    *(
        "LD_LIBRARY_PATH",
        "LD_DEBUG",
        "LD_BIND_NOW",
        "PYTHONHOME",
        "PYTHONINSPECT",
        "PYTHONWARNINGS",
        "PYTHONBREAKPOINT",
    ),
    *("GIT_DIR", "GIT_CONFIG_COUNT", "GIT_PAGER", "PAGER", "EDITOR", "VISUAL", "BROWSER", "LESSOPEN", "MANPAGER"),
    *("PERL5LIB", "PERL5DB", "RUBYLIB", "NODE_PATH", "CLASSPATH", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "LUA_INIT"),
    *("HOME", "SHELL", "USER", "TMPDIR", "CDPATH", "SHELLOPTS", "BASHOPTS", "ZDOTDIR", "INPUTRC", "TERMINFO"),
    *("HTTP_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSLKEYLOGFILE"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "OPENSSL_CONF", "OPENSSL_MODULES", "GCONV_PATH", "LOCPATH", "NLSPATH"),
    *("MALLOC_TRACE", "HOSTALIASES", "RES_OPTIONS", "RESOLV_HOST_CONF", "TZDIR", "COWORK_STORE", "COWORK_TEST_SECRET"),
    *("BASH_FUNC_ls%%", "MAKEFLAGS", "CC", "RUSTC_WRAPPER", "NPM_CONFIG_PREFIX", "DOCKER_HOST", "SSH_AUTH_SOCK"),
    *("ld_preload", "Path", "APP_", "INPUT_", "LC_", "APP_x", "", " ", "A=B", "LANG ", "TERM\n", "APP_Ä", "X\u202e"),
)


def generated(count: int) -> list[str]:
    """Return names that nobody thought of, the same in every run."""
    choose = random.Random(25)
    starts = ["LD_", "DYLD_", "PYTHON", "GIT_", "NODE_", "PERL", "RUBY", "JAVA_", "BASH_", "GCC_", "", "X", "APPX_"]
    letters = string.ascii_uppercase + string.digits + "_"
    return [choose.choice(starts) + "".join(choose.choices(letters, k=choose.randint(3, 12))) for _ in range(count)]


async def test_no_name_that_a_program_obeys_gets_into_the_environment(field: Field) -> None:
    names = [*OF_THE_CASE, *OF_THE_KIND, *generated(20)]
    value = f"{field.grant}:."
    commands = [
        ShellExec(argv=("touch", f"ran-{number}"), cwd=here(), env=((name, value),), writes="staged")
        for number, name in enumerate(names)
    ]
    everything = tuple((name, value) for name in OF_THE_CASE)
    commands.append(ShellExec(argv=("env",), cwd=here(), env=(("LANG", "C.UTF-8"), *everything)))
    played = await play(field, *commands, setting=Setting(seconds_max=20))
    for name, ran in zip(names, played.actions, strict=False):
        assert (ran.word in REFUSED, ran.started) == (True, False), (name, ran)
        assert f"`{name}`" in ran.reason, (name, ran.reason)
    assert played.actions[-1].word in REFUSED
    assert all(f"`{name}`" in played.actions[-1].reason for name in OF_THE_CASE)
    assert field.tree() == {}


@pytest.mark.parametrize(
    "pair",
    [("LANG", "/tmp/x"), ("LC_ALL", "../x"), ("TZ", ":/etc/passwd"), ("TERM", "../../x"), ("APP_X", "a\0b")],
    ids=repr,
)
async def test_no_value_leads_a_library_to_a_file(field: Field, pair: tuple[str, str]) -> None:
    played = await play(field, ShellExec(argv=("true",), cwd=here(), env=(pair,)))
    assert (played.only.word in REFUSED, played.only.started) == (True, False)


async def test_harmless_names_are_passed_as_they_are(field: Field) -> None:
    given = (
        ("LANG", "de_DE.UTF-8"),
        ("TZ", "Europe/Berlin"),
        ("APP_MODE", "x;$(touch y)`z`\n'\""),
        ("INPUT_FILE", "-rf"),
    )
    source = "import os, sys\nprint([os.environ[n] for n in ('LANG', 'TZ', 'APP_MODE', 'INPUT_FILE')])"
    played = await play(field, shell(field, f'python3 -c "{source}"', env=given))
    assert played.only.out == repr([value for _, value in given]) + "\n"


def plant(field: Field) -> str:
    """Fill the granted folder with what runs where it is picked up; return the file that tells if it ran outside."""
    mark = f"{field.out}/pwned"
    script = f"#!/bin/sh\necho pwned >>{mark}\necho pwned >>/tmp/pwned\n"
    python = f"try:\n    open({mark!r}, 'a').close()\nexcept OSError:\n    pass\nplanted = True\n"
    setting = f"""[core]
        fsmonitor = {field.grant}/evil
        hooksPath = {field.grant}
        sshCommand = {field.grant}/evil
        pager = {field.grant}/evil
        editor = {field.grant}/evil
        [diff]
        external = {field.grant}/evil
        [diff "x"]
        textconv = {field.grant}/evil
        [filter "x"]
        clean = {field.grant}/evil
        smudge = {field.grant}/evil
        [alias]
        status = !{field.grant}/evil
        """
    field.write(
        {
            **dict.fromkeys(("evil", "python3", "bwrap", "unshare", "sh", "mount", "ls", "env", "pre-commit"), script),
            **dict.fromkeys((".git/hooks/pre-commit", ".git/hooks/post-checkout", "bin/python3", ".envrc"), script),
            **dict.fromkeys(
                ("sitecustomize.py", "usercustomize.py", "json.py", "os.py", "conftest.py", "re.py"), python
            ),
            **dict.fromkeys(("setup.py", "anyio.py", "msgspec.py", "cowork.py", "encodings/__init__.py"), python),
            ".pth": f"import os; open({mark!r}, 'a')\n",
            "x.pth": f"import os; open({mark!r}, 'a')\n",
            ".git/config": setting,
            ".git/HEAD": "ref: refs/heads/main\n",
            ".gitattributes": "* filter=x diff=x\n",
            "package.json": f'{{"scripts": {{"preinstall": "{field.grant}/evil", "test": "{field.grant}/evil"}}}}',
            ".npmrc": f"script-shell={field.grant}/evil\n",
            "Makefile": f"all:\n\t{field.grant}/evil\n$(shell {field.grant}/evil)\n",
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "evil"\nbackend-path = ["."]\n',
            "notes.txt": "a note\n",
        }
    )
    for path in field.grant.rglob("*"):
        if path.is_file():
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return mark


async def test_planted_code_runs_at_most_inside(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = plant(field)
    monkeypatch.chdir(field.grant)
    monkeypatch.setenv("PATH", f".:{field.grant}:{field.grant}/bin:/usr/bin:/bin")
    before = field.tree()
    isolated = """
        import json, os, re, sys
        print(json.__file__.startswith("/usr"), os.__file__.startswith("/usr"), re.__file__.startswith("/usr"))
        site = sys.modules.get("sitecustomize")
        print(site and site.__file__, os.getcwd() in sys.path, "" in sys.path)
        print(sys.flags.isolated, os.path.realpath(sys.executable).startswith("/usr/bin/python3"))
        """
    by_name = """
        command -v python3; command -v ls; command -v env; command -v sh
        python3 -I -c 'import sys; print(sys.executable)'; test -e /tmp/pwned || echo unharmed
        ./evil; test -e /tmp/pwned && echo inside
        python3 -c 'import json; print(json.planted)'
        """
    played = await play(field, code(field, isolated), shell(field, by_name))
    first, second = played.actions
    assert first.out.splitlines()[0] == "True True True", first.err
    assert first.out.splitlines()[1].endswith(" False False")
    assert str(field.grant) not in first.out
    assert first.out.splitlines()[2] == "1 True"
    found = ["/usr/bin/python3", "/usr/bin/ls", "/usr/bin/env", "/usr/bin/sh", "/usr/bin/python3"]
    assert second.out.splitlines() == [*found, "unharmed", "inside", "True"], second.err
    assert not (field.out / "pwned").exists(), mark
    assert field.tree() == before


async def test_looking_at_a_folder_runs_nothing_that_lies_in_it(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, difference, index and preview are the engine's own: no program is asked, and none is started."""
    plant(field)
    monkeypatch.chdir(field.grant)
    everything = layer_of_rules(
        "everything", tuple(rule for rule in BASELINE.document.rules if rule.id != "hidden-files-stay-closed")
    )
    looks: list[Action] = [
        FileList(at=Location("", "."), recursive=True),
        FileSearch(at=Location("", "."), pattern="pwned"),
    ]
    looks += [FileRead(at=here(name)) for name in (".git/config", "Makefile", "evil", ".gitattributes", "notes.txt")]
    staging = shell(
        field, "echo more >>notes.txt; chmod 600 notes.txt; mv evil worse; echo x >new.txt", writes="staged"
    )
    played = await play(field, *looks, staging, setting=Setting(rules=everything))
    assert {ran.word for ran in played.actions if not ran.staged_by} == {"completed"}
    assert field.tree()["notes.txt"] == b"a note\nmore\n"
    assert {ran.word for ran in played.changes} == {"completed"}, played.changes
    assert not (field.out / "pwned").exists()


WORKING_FOLDERS = (
    *(
        "/",
        "/tmp",
        "/usr",
        "..",
        "../out",
        "../grant2",
        "../grant-evil",
        "sub/../..",
        "sub/..",
        "./sub",
        "sub/",
        "sub//x",
    ),
    *(
        "link",
        "link/more",
        "inside",
        "loop",
        "file",
        "absent",
        "sub\0",
        "\n",
        "~",
        "$HOME",
        "*",
        "sub/\u202ex",
        "a" * 300,
    ),
    *("/proc/self/cwd", "/proc/self/root", "file:///tmp", "%2e%2e", "..\\out", "nobody:sub", "grant:../out", ":", ""),
)


@pytest.mark.parametrize("writes", ["none", "staged"])
async def test_a_working_folder_lies_in_the_granted_one_or_nothing_runs(field: Field, writes: str) -> None:
    field.write({"sub/f": "x", "file": "x"})
    (field.grant / "link").symlink_to("../out")
    (field.grant / "inside").symlink_to("sub")
    (field.grant / "loop").symlink_to("loop")
    outside = [*WORKING_FOLDERS, str(field.out), str(field.base), str(field.evil), f"{field.grant}/../out"]
    commands = [
        ShellExec(
            argv=("sh", "-c", "pwd; echo x >ran"), cwd=here(cwd), writes="staged" if writes == "staged" else "none"
        )
        for cwd in outside
    ]
    played = await play(field, *commands, setting=Setting(seconds_max=20))
    ran = dict(zip(outside, (one for one in played.actions if not one.staged_by), strict=True))
    worked = {cwd for cwd, one in ran.items() if one.started}
    # These are other spellings of a folder inside.
    assert worked <= {"sub/..", "./sub", "sub/", ""}, worked
    assert {one.word.partition("/")[0] for cwd, one in ran.items() if cwd not in worked} == {"denied"}
    for cwd in worked:
        assert ran[cwd].out.strip() in (str(field.grant), f"{field.grant}/sub")
    within = await play(field, shell(field, "pwd; cat f", cwd="sub"), shell(field, "pwd", cwd="grant2:."))
    assert [one.out for one in within.actions] == [f"{field.grant}/sub\nx", f"{field.grant2}\n"]
    assert set(field.tree()) <= {"sub/f", "file", "ran", "sub/ran"}
