"""Every bound of the engine in one place, each with its unit in its name."""

from typing import Final

BATCH_ACTIONS_MAX: Final = 10_000
"""How many files one pattern may stand for."""

CONFIRMATION_TTL_S: Final = 24 * 60 * 60
"""How long a question waits for its answer."""

COMMAND_RETRIES_MAX: Final = 16
"""How often a command is decided again because another one was faster."""

LIVE_STREAMS_MAX: Final = 4096
"""How many folded streams the command handler keeps."""

LOG_PAGE_EVENTS: Final = 500
"""How many events are read from the log at a time."""

CATCH_UP_PAGE_EVENTS: Final = 2000
"""How many events are folded into the read model in one transaction."""

STORE_LOCK_WAIT_S: Final = 10.0
"""How long an append waits for another process's transaction."""

READ_BYTES_MAX: Final = 64 * 1024 * 1024
"""The largest file, by its apparent size, that is read or written whole."""

PREVIEW_BYTES_MAX: Final = 256 * 1024
"""The largest text file whose difference is shown on a card."""

LIST_ENTRIES_MAX: Final = 100_000
"""How many entries a listing may have."""

SEARCH_BYTES_MAX: Final = 256 * 1024 * 1024
"""How many bytes one search may read."""

SEARCH_MATCHES_MAX: Final = 10_000
"""How many matching lines one search may return."""

PLAN_BYTES_MAX: Final = 16 * 1024 * 1024
"""The largest plan file."""

PLAN_STEPS_MAX: Final = 10_000
"""How many steps a plan may have."""

HASH_BYTES_MAX: Final = 16 * 1024 * 1024 * 1024
"""How much is read to identify a file or folder that is deleted, moved or replaced."""

SEARCH_FILE_BYTES_MAX: Final = 16 * 1024 * 1024
"""The largest file that is searched."""

SEARCH_S_MAX: Final = 20.0
"""How long one search may take."""

WALKED_ENTRIES_MAX: Final = 2_000_000
"""How many entries of a folder are looked at for one pattern."""
