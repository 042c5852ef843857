"""A planner that needs no model: a plan written down in a TOML or JSON file."""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, assert_never

import anyio.to_thread
from pydantic import ValidationError

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
from ...domain.errors import DomainError
from ...domain.plan import Batch, Plan, Request, Step, check_plan
from ...engine import limits
from ...engine.ports import PlannedTask
from .plan_model import (
    ActionFields,
    CodeFields,
    ConnectorFields,
    DeleteFields,
    ListFields,
    MoveFields,
    PlanFields,
    ReadFields,
    RequestFields,
    SearchFields,
    ShellFields,
    SpawnFields,
    StepFields,
    WriteFields,
    canonical_json,
)
from .validation_words import in_one_sentence


class PlanFile:
    """The plan in a file. `name` is what the event says about who planned: `plan-file`."""

    name = "plan-file"

    def __init__(self, path: Path) -> None:
        self._path = path

    async def plan(self) -> PlannedTask:
        """Return the plan. Raises `DomainError` not_found or invalid, with the offending value and what to do."""
        return await anyio.to_thread.run_sync(self._plan)

    def _plan(self) -> PlannedTask:
        data = _read(self._path)
        fields = _checked(_parsed(data, self._path), self._path)
        contents: dict[str, bytes] = {}
        steps = tuple(_step(step, contents) for step in fields.step)
        plan = Plan(
            title=fields.title or self._path.stem,
            steps=steps,
            on_ask=fields.on_ask,
            source_digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
        )
        if len(steps) > limits.PLAN_STEPS_MAX:
            raise DomainError("limit", f"a plan has at most {limits.PLAN_STEPS_MAX} steps, this one has {len(steps)}")
        check_plan(plan)
        return PlannedTask(plan, tuple(contents.values()))


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            missing = not path.exists()
            raise DomainError(
                "not_found" if missing else "invalid",
                f"there is no plan file `{path}`" if missing else f"`{path}` is not a file",
                "name a TOML or JSON file",
            )
        if path.stat().st_size > limits.PLAN_BYTES_MAX:
            raise DomainError("limit", f"the plan `{path}` is larger than {limits.PLAN_BYTES_MAX} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DomainError("invalid", f"the plan `{path}` can't be read: {reason}") from error


def _parsed(data: bytes, path: Path) -> dict[str, Any]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DomainError("invalid", f"the plan `{path}` is not UTF-8 text", "save it as UTF-8") from error
    is_json = path.suffix.lower() == ".json" or (path.suffix.lower() != ".toml" and text.lstrip().startswith("{"))
    form = "JSON" if is_json else "TOML"
    try:
        value = json.loads(text, object_pairs_hook=_once_each) if is_json else tomllib.loads(text)
        if is_json:
            # JSON can spell half of a character, which no file name and no event can have.
            canonical_json(value).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise DomainError(
            "invalid", f"the plan `{path}` has half of a character: `{half}`", "write it whole"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DomainError("invalid", f"the plan `{path}` is not {form}: {error}", f"mend the {form}") from error
    if not isinstance(value, dict):
        raise DomainError("invalid", f"the plan `{path}` is not an object", 'begin with {"title": …, "step": […]}')
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        # A key given twice would silently hide one of its values, and with it what a person reads.
        if keys.count(key) > 1:
            raise ValueError(f"the key `{key}` is given twice")
    return dict(pairs)


def _checked(value: dict[str, Any], path: Path) -> PlanFields:
    try:
        return PlanFields.model_validate(value)
    except ValidationError as error:
        sentence, hint = in_one_sentence(error, value)
        raise DomainError("invalid", f"the plan `{path}`: {sentence}", hint) from error


def _step(fields: StepFields, contents: dict[str, bytes]) -> Step:
    return Step(
        step_id=fields.id,
        title=fields.title or fields.id,
        description=fields.description,
        needs=tuple(dict.fromkeys(fields.needs)),
        request=_request(fields.action, contents),
        changes=fields.changes or "each",
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
