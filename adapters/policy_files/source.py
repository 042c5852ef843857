"""The machine's policy documents as the engine asks for them."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ...domain.folder_trust import TrustedFolders
from ...domain.path import name_of_text
from ...engine.ports import StandingLayers
from .layers import ORGANISATION_FOLDER, standing_layers


class FilePolicySource:
    """Reads the documents anew each time it is asked: what a person has just written holds from the next run on."""

    def __init__(self, config: Path, organisation: Path = ORGANISATION_FOLDER) -> None:
        self._config = config
        self._organisation = organisation

    def standing(self, folders: Sequence[str], trusted: TrustedFolders) -> StandingLayers:
        """See `PolicySource`."""
        paths = [Path(os.fsdecode(name_of_text(folder))) for folder in folders]
        machine = standing_layers(self._config, paths, trusted, organisation=self._organisation)
        said = tuple(f"{one.message}: {one.hint}" if one.hint else one.message for one in machine.notices)
        return msgspec.structs.replace(machine.standing, notices=said)
