"""Steps of a plan file as the domain has them."""

import hashlib
from typing import assert_never

from ...domain.action import (
    Action,
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
    FileSearch,
    FileWrite,
    Location,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
)
from ...domain.budget import Budget
from ...domain.plan import Batch, Request, Step
from .plan_model import (
    ActionFields,
    BudgetFields,
    CodeFields,
    ConnectorFields,
    DeleteFields,
    ListFields,
    MoveFields,
    ReadFields,
    RequestFields,
    SearchFields,
    ShellFields,
    SpawnFields,
    StepFields,
    WriteFields,
    canonical_json,
)


def step_of(fields: StepFields, contents: dict[str, bytes]) -> Step:
    """Return a step as the domain has it; the bytes that it refers to are added to `contents`, by their digests."""
    return Step(
        step_id=fields.id,
        title=fields.title or fields.id,
        description=fields.description,
        needs=tuple(dict.fromkeys(fields.needs)),
        request=_request(fields.action, contents),
        changes=fields.changes or "each",
    )


def budget_of(fields: BudgetFields) -> Budget:
    """Return a budget in the units that usage is counted in."""
    return Budget(
        wall_ms=None if fields.wall_s is None else fields.wall_s * 1000,
        actions=fields.actions,
        bytes_written=fields.bytes_written,
        bytes_sent=fields.bytes_sent,
        files_deleted=fields.files_deleted,
        tokens=fields.tokens,
        cost_micros=fields.cost_micros(),
    )


def _place(path: str | None) -> Location:
    return Location("", path or "")


def _kept(data: bytes, contents: dict[str, bytes]) -> Content:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    contents[digest] = data
    return Content(digest, len(data))


def _request(fields: ActionFields, contents: dict[str, bytes]) -> Request:
    match fields:
        case ReadFields() | DeleteFields() | MoveFields() if fields.match is not None:
            return Batch(of=fields.kind, match=fields.match, to=fields.to if isinstance(fields, MoveFields) else "")
        case ReadFields():
            return FileRead(at=_place(fields.path))
        case DeleteFields():
            return FileDelete(at=_place(fields.path))
        case MoveFields():
            kind = FileMove if fields.kind == "file.move" else FileRename
            return kind(at=_place(fields.path), to=_place(fields.to))
        case ListFields():
            return FileList(at=_place(fields.path), recursive=fields.recursive)
        case SearchFields():
            return FileSearch(at=_place(fields.path), pattern=fields.pattern, glob=fields.glob)
        case WriteFields():
            write = FileCreate if fields.kind == "file.create" else FileWrite
            content = _kept(fields.data(), contents)
            return write(at=_place(fields.path), content=content, mode=fields.mode_bits())
        case _:
            return _other(fields, contents)


def _other(
    fields: ShellFields | CodeFields | RequestFields | ConnectorFields | SpawnFields, contents: dict[str, bytes]
) -> Action:
    match fields:
        case ShellFields():
            return ShellExec(
                argv=tuple(fields.argv),
                cwd=_place(fields.cwd),
                env=tuple(sorted(fields.env.items())),
                stdin=None if fields.stdin is None else _kept(fields.stdin.encode(), contents),
                network=tuple(fields.network),
                writes=fields.writes,
                timeout_s=fields.timeout_s,
            )
        case CodeFields():
            return CodeRun(
                python=fields.python,
                args=tuple(fields.args),
                cwd=_place(fields.cwd),
                env=tuple(sorted(fields.env.items())),
                stdin=None if fields.stdin is None else _kept(fields.stdin.encode(), contents),
                network=tuple(fields.network),
                writes=fields.writes,
                timeout_s=fields.timeout_s,
            )
        case RequestFields():
            return NetworkRequest(
                method=fields.method,
                url=fields.url,
                headers=tuple(sorted(fields.headers.items())),
                body=None if fields.body is None else _kept(fields.body.encode(), contents),
            )
        case ConnectorFields():
            call = ConnectorRead if fields.kind == "connector.read" else ConnectorAction
            return call(connector=fields.connector, tool=fields.tool, arguments=fields.arguments_text())
        case SpawnFields():
            return SubagentSpawn(
                title=fields.title, scope=canonical_json(fields.scope), steps=canonical_json(fields.step)
            )
        case _:
            assert_never(fields)
