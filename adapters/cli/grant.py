"""`cowork grant …`: which folders and hosts are open to which session, narrowing them and taking them back."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from . import output
from .opening import on_record, opened, person
from .options import PLAIN_OPTIONS, GrantId, Options

if TYPE_CHECKING:
    from ...engine.application import Application
    from ...projections.active_grants import FolderGrant, HostGrant

app = App(name="grant", help="List, narrow and revoke granted folders and hosts.")


@app.command(name="list")
def list_grants(
    *,
    all_of_them: Annotated[
        bool, Parameter(name="--all", negative="", help="Also those that are no longer in force.")
    ] = False,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """List the folders that are granted now, with what they are granted for, and the hosts.

    As JSON it is one list: folders first, then hosts, which have a `host` where folders have a `rootPath`.

        cowork grant list
        cowork grant list --all --json
    """
    with opened(options, absent_is_empty=True) as engine:
        folders = [grant for grant in _grants(engine) if all_of_them or grant.status == "in_force"]
        hosts = [grant for grant in _hosts(engine) if all_of_them or grant.status == "in_force"]
    if options.json:
        output.document([*folders, *hosts])
        return
    if folders:
        _print_grants(folders)
    if hosts:
        _print_hosts(hosts)
    if not folders and not hosts:
        output.line("nothing is granted")


def _grants(engine: "Application") -> list["FolderGrant"]:
    from ...projections.active_grants import grant_of

    now = datetime.now(UTC)
    sessions = {row["session_id"]: row for row in engine.rows("sessions")}
    return [grant_of(row, sessions[row["session_id"]], now) for row in engine.rows("grants", order_by="position")]


def _hosts(engine: "Application") -> list["HostGrant"]:
    from ...projections.active_grants import host_grant_of

    sessions = {row["session_id"]: row for row in engine.rows("sessions")}
    return [host_grant_of(row, sessions[row["session_id"]]) for row in engine.rows("host_grants", order_by="position")]


def _print_grants(grants: list["FolderGrant"]) -> None:
    from ...projections.visible_text import visible
    from .layout import in_columns

    rows = [
        (
            grant.id,
            grant.status.replace("_", " "),
            visible(grant.name),
            _verbs(grant),
            ", ".join(map(visible, grant.output_roots)) or "-",
            visible(grant.root_path),
        )
        for grant in grants
    ]
    for line in in_columns(rows, ("grant", "status", "name", "for", "outputs", "folder")):
        output.line(line)


def _print_hosts(grants: list["HostGrant"]) -> None:
    from ...projections.visible_text import visible
    from .layout import in_columns

    rows = [(grant.id, grant.status.replace("_", " "), visible(grant.host)) for grant in grants]
    for line in in_columns(rows, ("grant", "status", "host")):
        output.line(line)


def _verbs(grant: "FolderGrant") -> str:
    allowed = {
        "read": grant.allow_read,
        "create": grant.allow_create,
        "write": grant.allow_write,
        "move": grant.allow_move,
        "delete": grant.allow_delete,
    }
    return ",".join(verb for verb, granted in allowed.items() if granted)


@app.command(name="narrow")
def narrow_grant(
    grant_id: GrantId,
    /,
    *,
    only: Annotated[str | None, Parameter(help="The verbs that are left, such as `read,create`.")] = None,
    outputs: Annotated[
        list[str] | None,
        Parameter(name="--output", help="An output root that is left. Repeatable."),
    ] = None,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Let a granted folder cover less from here on, for the task and its subagents, whichever process runs them.

    cowork grant narrow grant-06bq2wr0t0x5k9qz --only read
    """
    import anyio

    from ...domain.errors import DomainError
    from .folders import verbs_of, without_links

    if only is None and outputs is None:
        raise DomainError("invalid", "there is nothing to narrow the grant to", "add --only or --output")
    paths = None if outputs is None else [without_links(path) for path in outputs]
    with opened(options) as engine:
        verbs = verbs_of(only)
        anyio.run(lambda: engine.narrow(grant_id, verbs=verbs, output_paths=paths, by=person()))
        with on_record():
            (grant,) = [one for one in _grants(engine) if one.id == grant_id]
    if options.json:
        output.document(grant)
    else:
        _print_grants([grant])


@app.command(name="revoke")
def revoke_grant(
    grant_id: GrantId,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why, for the record.")] = "",
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Take a folder or a host back: no action starts under the grant from here on, whichever process runs the task.

    cowork grant revoke grant-06bq2wr0t0x5k9qz --reason "enough"
    """
    import anyio

    from ...projections.active_grants import FolderGrant, HostGrant
    from ...projections.visible_text import visible

    with opened(options) as engine:
        anyio.run(lambda: engine.revoke(grant_id, by=person(), reason=reason))
        with on_record():
            grants: list[FolderGrant | HostGrant] = [*_grants(engine), *_hosts(engine)]
    (grant,) = [one for one in grants if one.id == grant_id]
    if options.json:
        output.document(grant)
    else:
        opens = grant.host if isinstance(grant, HostGrant) else grant.root_path
        output.line(f"grant {grant.id} of {visible(opens)} is {grant.status.replace('_', ' ')}")
