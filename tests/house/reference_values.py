"""The reference of everything that is a closed list or a number in the code: rules, codes, tags, limits, places."""

import ast
import importlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tests.house.tree import ROOT


def _module(name: str) -> Any:
    return importlib.import_module(f"cowork.{name}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def risk_tags() -> list[str]:
    """Return each risk tag with the words for people."""
    risk = _module("domain.risk")
    return ["| tag | shown as |", "| --- | --- |", *(f"| `{tag}` | {risk.RISK_WORDS[tag]} |" for tag in risk.RISK_TAGS)]


def invariants() -> list[str]:
    """Return the invariants that the audit checks, by number."""
    return [f"{number}. {text}" for number, text in _module("engine.audit_finding").INVARIANTS.items()]


# Codes


def reason_codes() -> list[str]:
    """Return each reason code with the comment that explains it in the code."""
    comments = dict(_literal_comments("domain/reason.py"))
    rows = [f"| `{code}` | {comments[code]} |" for code in _module("domain.reason").REASON_CODES]
    return ["| code | meaning |", "| --- | --- |", *rows]


def outcomes() -> list[str]:
    """Return how an action stands or ended, each with the comment that explains it in the code."""
    comments = dict(_literal_comments("projections/outcome.py"))
    said = {"succeeded": "it was carried out", "rejected": "a person said no", **comments}
    rows = [f"| `{outcome}` | {said[outcome]} |" for outcome in _module("projections.outcome").OUTCOMES]
    return ["| outcome | meaning |", "| --- | --- |", *rows]


def _literal_comments(name: str) -> Iterator[tuple[str, str]]:
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        value, hash_sign, comment = line.partition("#")
        if hash_sign and value.strip().startswith('"'):
            yield value.strip().strip('",'), _cell(comment.strip())


_ERRORS: Final = {
    "invalid": "what was given is wrong by itself: a plan, a policy, an option, a path, a file that is no store",
    "not_found": "there is no such task, question, grant, folder, plan, policy or store",
    "conflict": "it does not fit what is recorded: another digest, answered already, a task that has ended",
    "denied": "the grants or the policy do not permit it",
    "expired": "the time for it is over",
    "limit": "it is over one of the [limits](limits.md)",
    "unavailable": "it can't be done now: locked by another process, no room, no permission, no such executor",
    "damaged": "the store is not as it was written",
}


def error_codes() -> list[str]:
    """Return each error code with its meaning and the exit status that it gives."""
    statuses = _module("adapters.cli.exit_status").OF_ERROR
    codes = _module("domain.errors").ERROR_CODES
    rows = [f"| `{code}` | {_ERRORS[code]} | {statuses[code].value} |" for code in codes]
    return ["| code | meaning | exit status |", "| --- | --- | --- |", *rows]


# Settings and limits


def settings() -> list[str]:
    """Return each setting with its variable and default."""
    words = {
        "store": ("the data folder of your account for `cowork` (`~/.local/share/cowork` on Linux)",
                  "the folder of the event log, the read model and the blobs; the option `--store` comes first"),
        "config": ("the configuration folder of your account for `cowork` (`~/.config/cowork` on Linux)",
                   "the folder of your own policy documents, `policy.toml` and `root-policy.toml`"),
        "debug": ("`false`", "`1` prints the trace of a bug in cowork instead of writing it to `logs/` in the store"),
        "unsafe_as_root": ("`false`",
                           "`1` lets cowork work as root, as `--unsafe-as-root` does; the session's record says so"),
        "keep_days": ("`90`", "for how many days after its end `cowork store gc` keeps what a task needs to be undone"),
        "max_bytes": ("`20GiB`",
                      "how much `cowork store gc` lets be kept, such as `500MB`; all bytes of open tasks are kept"),
        "workspace": ("`cowork` in the documents folder of your account (`~/Documents/cowork` on Linux)",
                      "where `cowork run --workspace` makes a folder for each session"),
    }  # fmt: skip
    fields = _module("adapters.settings").Settings.model_fields
    assert set(words) == set(fields), "say what each setting is for"
    rows = [f"| `{name}` | `COWORK_{name.upper()}` | {words[name][0]} | {words[name][1]} |" for name in fields]
    return ["| setting | variable | default | meaning |", "| --- | --- | --- | --- |", *rows]


def limits() -> list[str]:
    """Return each bound of the engine with its value and the sentence beneath it."""
    return _bounds_table(_bounds(ROOT / "engine" / "limits.py"))


def file_limits() -> list[str]:
    """Return the bounds of paths, files, patterns, answers and policy files that live beside what they bound."""
    found = [
        ("PATH_BYTES_MAX", _module("domain.path").PATH_BYTES_MAX, "The longest path below a granted folder."),
        ("COMPONENT_BYTES_MAX", _module("domain.path").COMPONENT_BYTES_MAX, "The longest name of a file or folder."),
        ("COMPONENTS_MAX", _module("domain.path").COMPONENTS_MAX, "How many names a path may have."),
        ("DIGEST_PREFIX_MIN", _module("domain.confirmation").DIGEST_PREFIX_MIN,
         "How many hexadecimal digits of a digest an answer must give at least."),
        ("BUDGET_MAX", _module("domain.budget").BUDGET_MAX,
         "The most that a budget may allow of one measure: milliseconds, actions, bytes, files, tokens, millionths."),
        ("POLICY_BYTES_MAX", _module("adapters.policy_files.reading").POLICY_BYTES_MAX, "The largest policy file."),
    ]  # fmt: skip
    return _bounds_table(found)


def _bounds_table(bounds: list[tuple[str, float, str]]) -> list[str]:
    rows = [f"| `{name}` | {_amount(name.lower(), value)} | {_cell(text)} |" for name, value, text in bounds]
    return ["| limit | value | meaning |", "| --- | --- | --- |", *rows]


def _bounds(path: Path) -> list[tuple[str, float, str]]:
    """Return the constants of a module, each with the string that stands beneath it."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    values = vars(
        importlib.import_module(f"cowork.{path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')}")
    )
    found: list[tuple[str, float, str]] = []
    for node, following in pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert isinstance(following, ast.Expr), f"{node.target.id} is not explained"
            assert isinstance(following.value, ast.Constant), f"{node.target.id} is not explained"
            found.append((node.target.id, values[node.target.id], str(following.value.value)))
    return found


def _amount(name: str, value: float) -> str:
    """Return a bound with its unit, which its name says."""
    if "bytes" in name and value >= 1024**3 and value % 1024**3 == 0:
        return f"{int(value) // 1024**3:,} GiB"
    if "bytes" in name and value >= 1024 * 1024 and value % (1024 * 1024) == 0:
        return f"{int(value) // (1024 * 1024):,} MiB"
    if "bytes" in name and value >= 1024 and value % 1024 == 0 and value > 4096:
        return f"{int(value) // 1024:,} KiB"
    if "bytes" in name:
        return f"{value:,} bytes"
    if "_s" in name and name.endswith(("_s", "_s_max")):
        return f"{int(value) // 3600} h" if value >= 3600 else f"{value:g} s"
    return f"{value:,}"


# Places and tables


def sensitive_places() -> list[str]:
    """Return the names that say credentials or keys, each with its reason."""
    return _places("SENSITIVE_PLACES")


def executed_places() -> list[str]:
    """Return the names that other programs execute or obey, each with its reason."""
    return _places("EXECUTED_PLACES")


def _places(name: str) -> list[str]:
    lines: list[str] = []
    for group in vars(_module("domain.place_lists"))[name]:
        lines += ["", f"### {group.title}", "", "| names | why |", "| --- | --- |"]
        lines += (
            f"| {', '.join(f'`{entry}`' for entry in listed.entries)} | {_cell(listed.why)} |"
            for listed in group.listed
        )
    return lines[1:]


def tables() -> list[str]:
    """Return the tables of the read model with their columns."""
    lines = ["| projection | table | key | other columns |", "| --- | --- | --- | --- |"]
    for projection, its_tables in _module("projections.registry").TABLES.items():
        for table in its_tables:
            key, columns = (", ".join(f"`{name}`" for name in names) for names in (table.key, table.columns))
            lines.append(f"| {projection} | `{table.name}` | {key} | {columns} |")
    return lines
