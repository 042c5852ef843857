"""What an action may put into a command's environment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.domain.environment import NAMES, PREFIXES, is_allowed_name, refused_names

DANGEROUS = [
    "LD_PRELOAD",
    "LD_AUDIT",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "NODE_OPTIONS",
    "NODE_PATH",
    "BASH_ENV",
    "ENV",
    "GIT_SSH_COMMAND",
    "GIT_EXTERNAL_DIFF",
    "GIT_CONFIG_GLOBAL",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "GLIBC_TUNABLES",
    "IFS",
    "PS4",
    "PROMPT_COMMAND",
    "PATH",
    "HOME",
    "TMPDIR",
    "SHELL",
    "SHELLOPTS",
    "BASHOPTS",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "LESSOPEN",
    "MANPAGER",
    "HTTP_PROXY",
    "https_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "LOCPATH",
    "NLSPATH",
    "GCONV_PATH",
    "TERMINFO",
    "TERMINFO_DIRS",
    "TZDIR",
    "HOSTALIASES",
    "RESOLV_HOST_CONF",
    "MALLOC_TRACE",
    "COWORK_STORE",
    "XDG_CONFIG_HOME",
    "LANG_X",
    "TERMCAP",
    "CI_X",
    "LC_",
    "APP_",
    "INPUT_",
]


@pytest.mark.parametrize("name", DANGEROUS)
def test_a_name_that_programs_obey_is_refused(name: str) -> None:
    assert refused_names(((name, "x"),)) == (name,)


@pytest.mark.parametrize(
    "name", ["LANG", "LC_ALL", "TZ", "TERM", "NO_COLOR", "CI", "SOURCE_DATE_EPOCH", "INPUT_PATH", "APP_MODE", "COLUMNS"]
)
def test_a_harmless_name_passes(name: str) -> None:
    assert refused_names(((name, "x"),)) == ()


@pytest.mark.parametrize(
    "name", ["", "lang", "Lang", "LANG ", " LANG", "LANG=", "APP_X=Y", "APP_é", "INPUT_\n", "=CI", "ＬＡＮＧ"]
)
def test_a_name_is_compared_as_it_is_written(name: str) -> None:
    assert refused_names(((name, "x"),)) == (name,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TZ", ":/etc/passwd"),
        ("TZ", "/etc/shadow"),
        ("TZ", "../../etc/passwd"),
        ("TERM", "../../tmp/evil"),
        ("LANG", "../../tmp/evil"),
        ("LC_ALL", "/tmp/evil"),
        ("LANGUAGE", "./x"),
        ("APP_X", "a\x00b"),
        ("APP_X", "\ud800"),
    ],
)
def test_a_value_that_means_more_than_it_says_is_refused(name: str, value: str) -> None:
    assert refused_names(((name, value),)) == (name,)


@pytest.mark.parametrize(("name", "value"), [("TZ", "Europe/Berlin"), ("LANG", "de_DE.UTF-8"), ("INPUT_FILE", "../x")])
def test_an_ordinary_value_passes(name: str, value: str) -> None:
    assert refused_names(((name, value),)) == ()


def test_a_name_given_twice_is_refused_because_programs_differ_in_which_one_they_take() -> None:
    assert refused_names((("CI", "1"), ("APP_A", "1"), ("CI", "0"))) == ("CI",)


def test_every_refused_name_is_told_once_and_in_order() -> None:
    env = (("PATH", "."), ("CI", "1"), ("LD_PRELOAD", "x"), ("PATH", "/"))
    assert refused_names(env) == ("PATH", "LD_PRELOAD")


@given(st.text(max_size=12))
def test_nothing_passes_but_what_is_on_the_list(name: str) -> None:
    listed = name in NAMES or any(name.startswith(prefix) for prefix in PREFIXES)
    assert listed or not is_allowed_name(name)
