"""Risk tags of a request: derived from what it does, whatever any rule or agent says of it."""

from msgspec import UnsetType

from .policy_request import Item, Request


def tags_of_request(request: Request) -> set[str]:
    """Return the derived tags: delete, overwrite, network, connector, batch, execute, spawn, untrusted."""
    tags: set[str] = set()
    match request.action:
        case "file.delete":
            tags.add("delete")
        case "file.write" | "file.rename" | "file.move":
            if not _is_known_absent(request):
                tags.add("overwrite")
        case "shell.exec" | "code.run":
            tags.add("execute")
        case "network.request":
            tags.add("network")
        case "connector.read" | "connector.action":
            tags.add("connector")
        case "subagent.spawn":
            tags.add("spawn")
        case _:
            pass
    if _is_batch(request):
        tags.add("batch")
    if request.labels is None or request.labels:
        tags.add("untrusted")
    return tags


def _is_known_absent(request: Request) -> bool:
    if not isinstance(request.items, tuple):
        return request.target_exists is False
    return all(_exists(request, item) is False for item in request.items)


def _exists(request: Request, item: Item) -> bool | None:
    return request.target_exists if isinstance(item.target_exists, UnsetType) else item.target_exists


def _is_batch(request: Request) -> bool:
    if isinstance(request.items, tuple) and len(request.items) > 1:
        return True
    count = request.batch_count
    return count is None or (not isinstance(count, UnsetType) and count > 1)
