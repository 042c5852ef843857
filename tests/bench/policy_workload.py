"""A policy of so many rules and questions to it: of every kind, about half the rules with patterns, many that hit.

The same rules exist as a Cedar policy set. It means about the same: Cedar's `like` has one wildcard, which also matches
`/`; a question to a person is a `permit`; and what depends on grants (`hidden`, `inOutput`) is given to it as a fact.
"""

import json
from random import Random
from typing import Any

import msgspec

from cowork.domain.policy_document import KINDS, Conditions, Defaults, PolicyDocument, Rule, Verdict, names_kind
from cowork.domain.policy_request import FrameScope, GrantedConnector, GrantedRoot, Request

WORK = "/home/ada/work"
PROJECTS = tuple(f"project-{number:02}" for number in range(40))
FOLDERS = ("src", "docs", "data", "data/raw", "reports", "tests/fixtures", "out", "notes/2026")
EXTENSIONS = ("md", "csv", "py", "json", "pdf", "xlsx", "txt", "parquet", "docx", "sql")
STEMS = ("report", "invoice", "draft", "summary", "budget", "minutes", "contract", "data", "plan", "readme")
HOSTS = tuple(
    f"{name}.{zone}" for zone in ("example.com", "example.org", "test") for name in ("api", "cdn", "www", "git")
)
PROGRAMS = (("git", "status"), ("git", "push"), ("ls",), ("npm", "test"), ("rm",), ("python",), ("make",), ("curl",))
TOOLS = ("mail_send", "mail_list", "crm_search", "crm_update", "calendar_list", "calendar_create")
FILE_ACTIONS: tuple[str | tuple[str, ...], ...] = (
    *("file.read", "file.read", "file.write", "file.create", "file.delete", "file.move", "file.*"),
    *(("file.read", "file.list"), ("file.write", "file.create")),
)
VERDICTS: tuple[Verdict, ...] = ("allow", "allow", "allow_with_confirm", "deny")

SCOPE = FrameScope(
    grants=(GrantedRoot(root=WORK),),
    output_roots=tuple(f"{WORK}/{project}/out" for project in PROJECTS[:8]),
    host_allowlist=("api.example.com", "*.example.org"),
    connectors=tuple(GrantedConnector(id=name, scopes=("all",), allow_actions=True) for name in ("mail", "crm")),
)


def document_of(rules: int, seed: int = 1) -> PolicyDocument:
    """Return a document of version 1.1 with so many rules."""
    random = Random(seed)
    return PolicyDocument(
        defaults=Defaults("deny"), rules=tuple(_rule(random, f"rule-{number}") for number in range(rules))
    )


def _rule(random: Random, name: str) -> Rule:
    verdict = random.choice(VERDICTS)
    chance = random.random()
    if chance < 0.5:
        patterns = tuple(_pattern(random) for _ in range(random.choice((1, 1, 2, 3))))
        more = random.random()
        return Rule(
            id=name,
            action=random.choice(FILE_ACTIONS),
            decision=verdict,
            when=Conditions(
                matches_pattern=patterns,
                file_size_greater_than=random.choice((1_000, 1_000_000)) if more < 0.15 else None,
                path_within_output_root=random.random() < 0.5 if more > 0.85 else None,
            ),
        )
    if chance < 0.76:
        return Rule(id=name, action=random.choice(FILE_ACTIONS), decision=verdict, when=_plain_condition(random))
    if chance < 0.86:
        host = random.choice(HOSTS)
        hosts = (host, f"*.{host.partition('.')[2]}") if random.random() < 0.2 else (host,)
        methods = random.choice((("GET", "HEAD"), ("POST",), None))
        return Rule(
            id=name,
            action="network.request",
            decision=verdict,
            when=Conditions(host_matches=hosts, method_in=methods),
        )
    if chance < 0.94:
        prefix = random.choice(PROGRAMS)
        return Rule(id=name, action="shell.exec", decision=verdict, when=Conditions(command_prefix=(prefix,)))
    when = Conditions(connector_in=(random.choice(("mail", "crm")),), tool_matches=(random.choice(TOOLS),))
    return Rule(id=name, action="connector.*", decision=verdict, when=when)


def _pattern(random: Random) -> str:
    project, folder, extension = random.choice(PROJECTS), random.choice(FOLDERS), random.choice(EXTENSIONS)
    stem = f"{random.choice(STEMS)}-{random.randrange(40)}"
    return random.choice(
        (
            f"{WORK}/{project}/{folder}/**",
            f"{WORK}/{project}/{folder}/*.{extension}",
            f"{WORK}/{project}/**",
            f"**/{stem}*",
            f"**/{stem}.{extension}",
            f"**/*-{random.randrange(40)}.{extension}",
            f"**/{project}-archive/**",
        )
    )


def _plain_condition(random: Random) -> Conditions:
    bounds = (1_000, 10_000, 1_000_000, 50_000_000)
    return random.choice(
        (
            Conditions(path_within_output_root=True, target_exists=random.random() < 0.5),
            Conditions(hidden=True),
            Conditions(target_exists=True, file_size_greater_than=random.choice(bounds)),
            Conditions(file_size_greater_than=random.choice(bounds)),
            Conditions(extension_in=(f".{random.choice(EXTENSIONS)}",), tainted=True),
        )
    )


def requests_of(count: int, seed: int = 2) -> list[Request]:
    """Return so many requests: seven of ten about files, most of whose places some rule is about."""
    random = Random(seed)
    return [_request(random) for _ in range(count)]


def _request(random: Random) -> Request:
    chance = random.random()
    labels = ("web",) if random.random() < 0.2 else ()
    if chance < 0.70:
        kind = random.choice(("file.read", "file.read", "file.read", "file.write", "file.create", "file.list"))
        kind = random.choice(("file.delete", "file.move")) if random.random() < 0.1 else kind
        return Request(
            action=kind,
            path=_path(random),
            to_path=_path(random) if kind == "file.move" else msgspec.UNSET,
            file_size_bytes=random.choice((100, 5_000, 200_000, 60_000_000)),
            target_exists=random.random() < 0.5,
            link_count=1,
            labels=labels,
        )
    if chance < 0.82:
        host, method = random.choice(HOSTS), random.choice(("GET", "GET", "POST"))
        return Request(action="network.request", host=host, method=method, file_size_bytes=0, labels=labels)
    if chance < 0.92:
        command = (*random.choice(PROGRAMS), f"--number={random.randrange(1000)}")
        return Request(
            action="shell.exec", path=f"{WORK}/{random.choice(PROJECTS)}", commands=(command,), labels=labels
        )
    tool = random.choice(TOOLS[:4])
    kind = random.choice(("connector.read", "connector.action"))
    return Request(action=kind, connector=tool.partition("_")[0], tool=tool, file_size_bytes=0, labels=labels)


def _path(random: Random) -> str:
    name = f"{random.choice(STEMS)}-{random.randrange(40)}"
    tail = "" if random.random() < 0.5 else f"-v{random.randrange(10_000)}"
    return f"{WORK}/{random.choice(PROJECTS)}/{random.choice(FOLDERS)}/{name}{tail}.{random.choice(EXTENSIONS)}"


# The same for Cedar


def cedar_policies(document: PolicyDocument) -> str:
    """Return the document as Cedar policies."""
    return "\n".join(_cedar_policy(rule) for rule in document.rules)


def _cedar_policy(rule: Rule) -> str:
    kinds = [kind for kind in KINDS if any(names_kind(pattern, kind) for pattern in rule.actions)]
    actions = ", ".join(f'Action::"{kind}"' for kind in kinds)
    effect = "forbid" if rule.decision == "deny" else "permit"
    clauses = " && ".join(_cedar_clauses(msgspec.to_builtins(rule.when)))
    return f'@id("{rule.id}")\n{effect}(principal, action in [{actions}], resource) when {{ {clauses} }};'


def _cedar_clauses(when: dict[str, Any]) -> list[str]:
    def any_of(tests: list[str]) -> str:
        return f"({' || '.join(tests)})"

    found = []
    for key, wanted in when.items():
        match key:
            case "matchesPattern":
                found.append(any_of([f'context.path like "{pattern.replace("**", "*")}"' for pattern in wanted]))
            case "extensionIn":
                found.append(any_of([f'context.path like "*{extension}"' for extension in wanted]))
            case "fileSizeGreaterThan":
                found.append(f"context.size > {wanted}")
            case "hostMatches":
                found.append(any_of([f'context.host like "{host}"' for host in wanted]))
            case "methodIn":
                found.append(any_of([f'context.method == "{method}"' for method in wanted]))
            case "commandPrefix":
                found.append(any_of([f'context.command like "{" ".join(prefix)} *"' for prefix in wanted]))
            case "connectorIn":
                found.append(any_of([f'context.connector == "{connector}"' for connector in wanted]))
            case "toolMatches":
                found.append(any_of([f'context.tool like "{tool}"' for tool in wanted]))
            case _:
                found.append(f"context.{_CEDAR_FLAGS[key]} == {json.dumps(wanted)}")
    return found


_CEDAR_FLAGS = {
    "pathWithinOutputRoot": "inOutput",
    "hidden": "hidden",
    "targetExists": "exists",
    "tainted": "tainted",
}


def cedar_request(request: Request) -> dict[str, Any]:
    """Return the request as Cedar's Python binding takes it."""
    context: dict[str, Any] = {"size": int(request.file_size_bytes or 0), "tainted": bool(request.labels)}
    if isinstance(request.path, str):
        context["path"] = request.path
        context["inOutput"] = any(request.path.startswith(f"{root}/") for root in SCOPE.output_roots)
        context["hidden"] = "/." in request.path
        context["exists"] = bool(request.target_exists)
    if request.commands:
        context["command"] = " ".join(request.commands[0])
    given = {"host": request.host, "method": request.method, "connector": request.connector, "tool": request.tool}
    context |= {name: value for name, value in given.items() if value is not None}
    resource = json.dumps(request.path if isinstance(request.path, str) else "none")
    return {
        "principal": 'User::"ada"',
        "action": f'Action::"{request.action}"',
        "resource": f"Resource::{resource}",
        "context": context,
    }
