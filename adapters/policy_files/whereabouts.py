"""Where the policy files of a machine are: for those who want to read or mend them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ...engine.policy_records import ORGANISATION, ROOT, USER, WORKSPACE
from .layers import ORGANISATION_FOLDER, POLICY_NAME, ROOT_POLICY_NAME, WORKSPACE_FOLDER


def policy_files(
    config: Path, folders: Sequence[Path] = (), organisation: Path = ORGANISATION_FOLDER
) -> Iterator[tuple[str, Path]]:
    """Yield the policy files that are there, each with the layer that it is: read or not is said elsewhere."""
    places = [
        (ORGANISATION, organisation / POLICY_NAME),
        (ROOT, config / ROOT_POLICY_NAME),
        (USER, config / POLICY_NAME),
        *((WORKSPACE, folder / WORKSPACE_FOLDER / POLICY_NAME) for folder in folders),
    ]
    for name, place in places:
        for path in (place.with_suffix(".toml"), place.with_suffix(".json")):
            if path.exists():
                yield name, path
