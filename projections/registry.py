"""Every projection there is, in the order in which they are brought up to date."""

from collections.abc import Mapping
from typing import Final

from .active_grants import ACTIVE_GRANTS
from .audit_log import AUDIT_LOG
from .confirmation_inbox import CONFIRMATION_INBOX
from .digest import DIGEST
from .fold import Fold
from .row import Table
from .task_actions import TASK_ACTIONS
from .task_status import TASK_STATUS
from .task_summary import TASK_SUMMARY
from .task_timeline import TASK_TIMELINE
from .usage import USAGE

PROJECTIONS: Final[tuple[Fold, ...]] = (
    TASK_STATUS,
    CONFIRMATION_INBOX,
    ACTIVE_GRANTS,
    TASK_ACTIONS,
    TASK_SUMMARY,
    TASK_TIMELINE,
    AUDIT_LOG,
    USAGE,
    DIGEST,
)

TABLES: Final[Mapping[str, tuple[Table, ...]]] = {projection.name: projection.tables for projection in PROJECTIONS}
"""The tables of each projection, by its name."""

if len({table.name for tables in TABLES.values() for table in tables}) != sum(map(len, TABLES.values())):
    raise TypeError("every table needs a name of its own")
