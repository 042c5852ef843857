"""What starts a task: a session with its grants, and the task with its plan, all in one commit."""

import msgspec

from ..domain.grant import GrantHost
from ..domain.policy_document import Layer
from ..domain.session import AddGrant, StartSession
from ..domain.task import AdoptPlan, QueueTask, StartPlanning
from .command_handler import Order, order_grant, order_session, order_task
from .folder_requests import FolderRequest, granting, opened_folders
from .planning_ports import PlannedTask
from .policy_records import PolicyRecords, adopting, in_force
from .ports import BlobStore, FolderOpener, Ids


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work: a plan, the folders it may touch, the hosts it may reach, its own rules, and whose it is.

    `own` are layers beside those of the machine: `run` is the root document where nobody manages the machine, `session`
    and `task` only narrow.
    """

    planned: PlannedTask
    planner: str
    folders: tuple[FolderRequest, ...]
    hosts: tuple[str, ...] = ()
    own: tuple[Layer, ...] = ()
    user: str
    device: str
    platform: str


class Starting:
    """Says what is to be recorded for a new task. One per process."""

    def __init__(self, *, policies: PolicyRecords, blobs: BlobStore, opener: FolderOpener, ids: Ids) -> None:
        self._policies = policies
        self._blobs = blobs
        self._opener = opener
        self._ids = ids

    def orders(self, request: RunRequest, session_id: str, task_id: str) -> list[Order]:
        """Return the orders of one commit. Raises `DomainError` invalid (a folder, a policy document) or not_found."""
        plan = request.planned.plan
        folders = opened_folders(request.folders, self._opener, self._ids)
        standing = self._policies.standing([folder.root_path for folder in folders])
        orders, layers, policy_digest = adopting(in_force(standing, request.own))
        for content in request.planned.contents:
            self._blobs.put(content)
        started = StartSession(
            session_id=session_id,
            user_id=request.user,
            device_id=request.device,
            platform=request.platform,
            title=plan.title,
            layers=layers,
            policy_digest=policy_digest,
        )
        orders.append(order_session(session_id, started))
        for folder in folders:
            orders += granting(session_id, folder)
        for host in dict.fromkeys(request.hosts):
            grant = GrantHost(grant_id=self._ids.new("grant"), session_id=session_id, host=host)
            orders += [order_session(session_id, AddGrant(grant.grant_id)), order_grant(grant.grant_id, grant)]
        queued = QueueTask(
            task_id=task_id,
            session_id=session_id,
            title=plan.title,
            budget=request.planned.budget,
            priority=request.planned.priority,
        )
        return [
            *orders,
            order_task(task_id, queued),
            order_task(task_id, StartPlanning(request.planner)),
            order_task(task_id, AdoptPlan(plan)),
        ]
