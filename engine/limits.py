"""Every bound of the engine in one place, each with its unit in its name."""

from typing import Final

BATCH_ACTIONS_MAX: Final = 10_000
"""How many files one pattern may stand for."""

STEPS_AT_ONCE_MAX: Final = 4
"""How many steps of one task are carried out at the same time, beside its subagents."""

ACTIONS_AT_ONCE_MAX: Final = 8
"""How many actions of all tasks of a process are carried out at the same time."""

SUBAGENTS_AT_ONCE_MAX: Final = 64
"""How many subagents of one task are at work at the same time."""

SUBAGENTS_MAX: Final = 1_000
"""How many subagents one task may start in all."""

TASKS_AT_ONCE_MAX: Final = 4
"""How many tasks of the queue one store carries on at the same time."""

QUEUE_INTERVAL_S: Final = 0.5
"""How soon a worker notices that a task was queued, or that one can go on."""

QUEUE_RETRY_S: Final = 60.0
"""After how long a worker tries a task again that could not be carried on."""

TASKS_OF_SESSION_AT_ONCE_MAX: Final = 2
"""How many tasks of one session are carried on at the same time."""

PROGRESS_INTERVAL_S: Final = 30.0
"""How often a task that is at work records how far it is."""

WATCH_INTERVAL_S: Final = 0.2
"""How soon a task that is at work notices what another process recorded."""

STUCK_REPEATS_MAX: Final = 8
"""How often in a row the same action may bring the same result, and change nothing, before the task is paused."""

MESSAGE_BYTES_MAX: Final = 64 * 1024
"""The longest message to an agent."""

SUBAGENT_S_MAX: Final = 10 * 365 * 24 * 60 * 60
"""The longest time until its deadline that a plan may give a subagent."""

REPORTED_CHANGES_MAX: Final = 1_000
"""How many changes a subagent's report names; the rest is counted."""

CONFIRMATION_TTL_S: Final = 24 * 60 * 60
"""How long a question waits for its answer where its plan does not say."""

CONFIRMATION_TTL_MAX_S: Final = 30 * 24 * 60 * 60
"""How long a plan may let a question wait for its answer."""

COMMAND_RETRIES_MAX: Final = 16
"""How often a command is decided again because another one was faster."""

STOP_RETRIES_MAX: Final = 256
"""How often a pause, an interrupt, a cancellation or another plan is decided again because its tasks are at work."""

LIVE_STREAMS_MAX: Final = 4096
"""How many folded streams the command handler keeps."""

LOG_PAGE_EVENTS: Final = 500
"""How many events are read from the log at a time."""

CATCH_UP_PAGE_EVENTS: Final = 2000
"""How many events are folded into the read model in one transaction."""

CATCH_UP_BEHIND_EVENTS: Final = 1000
"""How far the read model may be behind a task at work: some 25 milliseconds for whoever looks."""

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

RESPONSE_BYTES_MAX: Final = 64 * 1024 * 1024
"""The largest body of an answer that is kept, counted after it was unpacked, and before it was."""

RESPONSE_HEAD_BYTES_MAX: Final = 64 * 1024
"""The largest head of an answer: status line and headers."""

RESPONSE_HEADERS_MAX: Final = 128
"""How many headers an answer may have."""

REQUEST_BYTES_MAX: Final = READ_BYTES_MAX
"""The largest body of a request."""

REQUEST_HEAD_BYTES_MAX: Final = 32 * 1024
"""How many bytes the headers of a request may have together."""

REQUEST_HEADERS_MAX: Final = 100
"""How many headers a request may have."""

URL_LENGTH_MAX: Final = 8192
"""The longest URL."""

RESOLVE_S_MAX: Final = 10.0
"""How long it may take to look up the addresses of a host."""

ADDRESSES_MAX: Final = 32
"""How many addresses a host may have."""

DIALS_MAX: Final = 4
"""How many addresses of a host are tried, one after the other."""

DIAL_S_MAX: Final = 10.0
"""How long it may take until a connection to one address is made."""

REQUEST_IDLE_S_MAX: Final = 30.0
"""How long a server may be silent while it is read from or written to."""

REQUEST_S_MAX: Final = 300.0
"""How long one request may take in all."""

PROXY_CONNECTIONS_MAX: Final = 256
"""How many connections one command may make in all."""

PROXY_CONNECTIONS_AT_ONCE_MAX: Final = 64
"""How many connections one command may have at the same time."""

PROXY_REFUSALS_MAX: Final = 32
"""How many connections of one command are refused, each on record, before its way out is closed."""

PROXY_HEAD_BYTES_MAX: Final = 32 * 1024
"""The largest head of a request to the proxy."""

PROXY_HEADERS_MAX: Final = 100
"""How many headers a request to the proxy may have."""

PROXY_HEAD_S_MAX: Final = 15.0
"""How long a request to the proxy may take to arrive, without its body."""

PROXY_IDLE_S_MAX: Final = 120.0
"""How long nothing may go through a connection of a command, in either direction."""

PROXY_CONNECTION_S_MAX: Final = 3600.0
"""How long one connection of a command may last."""

COMMAND_S_DEFAULT: Final = 60
"""How long a command may take that names no time of its own."""

COMMAND_S_MAX: Final = 60 * 60
"""The longest time that a command may name."""

COMMAND_CPU_S_MAX: Final = 60 * 60
"""How much processor time each process of a command may use."""

COMMAND_OUTPUT_BYTES_MAX: Final = 8 * 1024 * 1024
"""How much is kept of each of a command's two outputs."""

COMMAND_PROCESSES_MAX: Final = 256
"""How many processes and threads a command may have at a time."""

COMMAND_DATA_BYTES_MAX: Final = 2 * 1024 * 1024 * 1024
"""How much memory of its own each process of a command may have."""

COMMAND_ADDRESS_BYTES_MAX: Final = 4 * 1024 * 1024 * 1024
"""How much address space each process of a command may have: run-time systems reserve more than they use."""

COMMAND_FILE_BYTES_MAX: Final = 1024 * 1024 * 1024
"""The largest file that a command may write."""

COMMAND_OPEN_FILES_MAX: Final = 1024
"""How many files each process of a command may have open."""

COMMAND_TMP_BYTES_MAX: Final = 512 * 1024 * 1024
"""How much a command may keep in /tmp and /dev/shm together; it is memory."""

COMMAND_TMP_FILES_MAX: Final = 65_536
"""How many files and folders a command may have in /tmp and /dev/shm together."""

COMMAND_STAGED_BYTES_MAX: Final = 2 * 1024 * 1024 * 1024
"""How much a command may have written to its copy of the granted folder."""

COMMAND_STAGED_FILES_MAX: Final = 10_000
"""How many files and folders of its copy of the granted folder a command may have changed."""

COMMAND_INPUTS_MAX: Final = 16
"""How many files that a command names in its arguments are bound to its approval."""

COMMAND_INPUT_BYTES_MAX: Final = 1024 * 1024
"""The largest file that a command names in its arguments and that is bound to its approval."""

COMMAND_ARGUMENT_BYTES_MAX: Final = 128 * 1024
"""The longest single argument of a command; the kernel takes no longer one."""

COMMAND_TOTAL_MEMORY_BYTES_MAX: Final = 4 * 1024 * 1024 * 1024
"""How much memory all processes of a command may have together, where control groups can hold them to it."""

COMMAND_SEEN_ENTRIES_MAX: Final = 500_000
"""How many files and folders a granted folder may have that is laid before a command."""

COMMAND_LEFT_OUT_MAX: Final = 100
"""How many sentences say what of a command's changes can be no action; the rest is counted."""

KEEP_DAYS_DEFAULT: Final = 90
"""For how many days after its end what a task needs to be undone is kept, and what it brought back."""

KEEP_DAYS_MAX: Final = 1_000_000
"""The most days that can be asked for: what is longer than the calendar reaches keeps everything."""

KEPT_BYTES_MAX_DEFAULT: Final = 20 * 1024 * 1024 * 1024
"""How many bytes of contents and deleted files a store keeps before the oldest ended tasks' go."""

COLLECT_UNTOUCHED_S_MIN: Final = 3600.0
"""How long nothing may have been put or asked for that is collected: what names it may be about to be recorded."""

COLLECT_BATCH: Final = 256
"""After how many removals a collection looks again whether something is needed after all."""

MEMORY_ENTRIES_MAX: Final = 1000
"""How many entries the memory of a session may have."""

MEMORY_NAME_BYTES_MAX: Final = 512
"""The longest name of an entry of a session's memory."""

MEMORY_BYTES_MAX: Final = 4 * 1024 * 1024
"""How many bytes all entries of a session's memory may have together, their names included."""

RESUME_LOOKS_MAX: Final = 1_000
"""How many places a report on a resume looks at: of the rest it says how many there are."""

MERGE_BYTES_MAX: Final = 1024 * 1024
"""The longest text that an undo merges with what somebody changed in it since."""

MERGE_LINES_MAX: Final = 20_000
"""How many lines such a text may have."""

MERGE_CHANGES_MAX: Final = 1_000
"""How many lines may differ on one side of such a merge; what it takes grows with lines times changes."""
