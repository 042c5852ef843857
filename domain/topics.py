"""The closed registry: every event of every aggregate under its stored topic. What is not here can't be read back."""

from typing import Final, TypeAlias, get_args

from .approvals import ApprovalEvent
from .confirmation import ConfirmationEvent
from .event import Event
from .folder_trust import TrustEvent
from .grant import GrantEvent
from .ownership import OwnershipEvent
from .policy_record import DocumentStored
from .retention import StoreEvent
from .sandbox import SandboxChecked
from .session import SessionEvent
from .session_memory import MemoryEvent
from .subagent import SubagentEvent
from .task import TaskEvent

PolicyEvent: TypeAlias = DocumentStored | ApprovalEvent | TrustEvent
"""What is on record about policy outside any session."""

KeepingEvent: TypeAlias = StoreEvent | MemoryEvent
"""What is on record about what the store keeps beside the log."""

MachineEvent: TypeAlias = PolicyEvent | SandboxChecked | KeepingEvent
"""What is on record outside any task."""

WorkEvent: TypeAlias = TaskEvent | SubagentEvent | OwnershipEvent
"""What is on record about tasks, who carries them out and where."""

AnyEvent: TypeAlias = SessionEvent | GrantEvent | WorkEvent | ConfirmationEvent | MachineEvent

EVENT_TYPES: Final[tuple[type[Event], ...]] = get_args(AnyEvent)
EVENT_OF_TOPIC: Final[dict[str, type[Event]]] = {event.TOPIC: event for event in EVENT_TYPES}

if len(EVENT_OF_TOPIC) != len(EVENT_TYPES) or "" in EVENT_OF_TOPIC:
    raise TypeError("every event needs a topic of its own")
