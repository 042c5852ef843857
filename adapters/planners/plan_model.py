"""The plan file's shape, checked by pydantic: unknown fields, kinds and values are refused, each with its place."""

import base64
import binascii
import json
import re
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ...domain.budget import BUDGET_MAX
from ...domain.path import PATH_BYTES_MAX
from ...domain.plan import BatchKind, OnAsk
from ...engine import limits

Text: TypeAlias = Annotated[str, StringConstraints(strict=True)]
Name: TypeAlias = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]
Place: TypeAlias = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=PATH_BYTES_MAX)]
Url: TypeAlias = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=limits.URL_LENGTH_MAX)]
JsonText: TypeAlias = Annotated[str, Field(strict=True)]

Count: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=BUDGET_MAX)]

_AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_MODE: Final = re.compile("0?[0-7]{3}")


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ListFields(_Closed):
    """`file.list`."""

    kind: Literal["file.list"]
    path: Text
    recursive: bool = False


class SearchFields(_Closed):
    """`file.search`: an RE2 pattern, in the files that `glob` matches."""

    kind: Literal["file.search"]
    path: Text
    pattern: Text
    glob: Text = ""


class _Chosen(_Closed):
    path: Text | None = None
    match: Text | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "_Chosen":
        if (self.path is None) is (self.match is None):
            raise ValueError("give either `path` or `match`")
        return self


class ReadFields(_Chosen):
    """`file.read` of one file, or of all that `match` matches."""

    kind: Literal["file.read"]


class DeleteFields(_Chosen):
    """`file.delete` of one file or folder, or of all that `match` matches."""

    kind: Literal["file.delete"]


class MoveFields(_Chosen):
    """`file.move` and `file.rename`: one path to another, or all that `match` matches into the folder `to`."""

    kind: Literal["file.move", "file.rename"]
    to: Text

    @model_validator(mode="after")
    def _matches_go_into_a_folder(self) -> "MoveFields":
        if self.match is not None and not self.to.endswith("/"):
            raise ValueError(f"what `match` matches goes into a folder: `to` must end in `/`, not be `{self.to}`")
        return self


class WriteFields(_Closed):
    """`file.create` and `file.write`: text in `content`, or any bytes in `content_base64`; `mode` in octal digits."""

    kind: Literal["file.create", "file.write"]
    path: Text
    content: Text | None = None
    content_base64: Text | None = None
    mode: Any = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "WriteFields":
        if (self.content is None) is (self.content_base64 is None):
            raise ValueError("give either `content` or `content_base64`")
        self.data()
        self.mode_bits()
        return self

    def mode_bits(self) -> int | None:
        """Return the permission bits, None to leave them as they come."""
        if self.mode is None:
            return None
        if not isinstance(self.mode, str) or not _MODE.fullmatch(self.mode):
            given = json.dumps(self.mode, default=str)
            raise ValueError(f'`mode` is three octal digits in quotes, such as "644" or "755", not {given}')
        return int(self.mode, 8)

    def data(self) -> bytes:
        """Return the bytes to write."""
        if self.content is not None:
            return self.content.encode()
        try:
            return base64.b64decode(self.content_base64 or "", validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("`content_base64` is not base64") from error


class _CommandFields(_Closed):
    cwd: Text = "."
    env: dict[Text, Text] = Field(default_factory=dict)
    stdin: Text | None = None
    network: list[Text] = Field(default_factory=list)
    writes: Literal["none", "staged"] = "none"
    timeout_s: Annotated[int, Field(strict=True, gt=0)] | None = None


class ShellFields(_CommandFields):
    """`shell.exec`: an argument vector."""

    kind: Literal["shell.exec"]
    argv: list[Text] = Field(min_length=1)


class CodeFields(_CommandFields):
    """`code.run`: Python source."""

    kind: Literal["code.run"]
    python: Text
    args: list[Text] = Field(default_factory=list)


class RequestFields(_Closed):
    """`network.request`."""

    kind: Literal["network.request"]
    method: Name
    url: Url
    headers: dict[Text, Text] = Field(default_factory=dict)
    body: Text | None = None


class ConnectorFields(_Closed):
    """`connector.read` and `connector.action`."""

    kind: Literal["connector.read", "connector.action"]
    connector: Name
    tool: Name
    arguments: dict[str, Any] = Field(default_factory=dict)

    def arguments_text(self) -> str:
        """Return the arguments as canonical JSON text."""
        return canonical_json(self.arguments)


class SpawnFields(_Closed):
    """`subagent.spawn`: a subagent with a scope and steps of its own."""

    kind: Literal["subagent.spawn"]
    title: Name
    scope: dict[str, Any] = Field(default_factory=dict)
    step: list[dict[str, Any]] = Field(default_factory=list)


ActionFields: TypeAlias = Annotated[
    ListFields
    | SearchFields
    | ReadFields
    | DeleteFields
    | MoveFields
    | WriteFields
    | ShellFields
    | CodeFields
    | RequestFields
    | ConnectorFields
    | SpawnFields,
    Field(discriminator="kind"),
]


class StepFields(_Closed):
    """One step. `changes` is of steps that run a command which may write."""

    id: Name
    title: Text = ""
    description: Text = ""
    needs: list[Name] = Field(default_factory=list)
    action: ActionFields
    changes: Literal["each", "together"] | None = None

    @model_validator(mode="after")
    def _only_commands_have_changes(self) -> "StepFields":
        writes = isinstance(self.action, ShellFields | CodeFields) and self.action.writes == "staged"
        if self.changes is not None and not writes:
            raise ValueError('`changes` goes with a command that may write: `writes = "staged"` in its action')
        return self


class BudgetFields(_Closed):
    """How much may be used up. `cost` is text such as "2.50", in the currency that the planner reports in."""

    wall_s: Annotated[int, Field(strict=True, ge=0, le=BUDGET_MAX // 1000)] | None = None
    actions: Count | None = None
    bytes_written: Count | None = None
    bytes_sent: Count | None = None
    files_deleted: Count | None = None
    tokens: Count | None = None
    cost: Text | None = None

    @model_validator(mode="after")
    def _cost_is_an_amount(self) -> "BudgetFields":
        self.cost_micros()
        return self

    def cost_micros(self) -> int | None:
        """Return the cost in millionths, None where there is no bound."""
        if self.cost is None:
            return None
        if not _AMOUNT.fullmatch(self.cost):
            raise ValueError(f'`cost` is an amount in quotes, such as "2.50", not `{self.cost}`')
        whole, _, part = self.cost.partition(".")
        micros = int(whole) * 1_000_000 + int(part.ljust(6, "0") or 0)
        if micros > BUDGET_MAX:
            raise ValueError(f"`cost` is at most {BUDGET_MAX // 1_000_000}, not `{self.cost}`")
        return micros


class PlanFields(_Closed):
    """The whole file. Of waiting tasks the one with the highest `priority` goes first."""

    title: Text = ""
    on_ask: OnAsk = "wait"
    answer_within_s: Annotated[int, Field(strict=True, gt=0, le=limits.CONFIRMATION_TTL_MAX_S)] | None = None
    budget: BudgetFields = BudgetFields()
    priority: Annotated[int, Field(strict=True, ge=-1000, le=1000)] = 0
    step: list[StepFields] = Field(default_factory=list)


BATCH_KINDS: tuple[BatchKind, ...] = ("file.read", "file.rename", "file.move", "file.delete")


def canonical_json(value: object) -> str:
    """Return the value as JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
