"""Settings of this machine: from the environment (`COWORK_…`), with a default for each."""

from pathlib import Path
from typing import Final

from platformdirs import user_config_path, user_data_path, user_documents_path
from pydantic import ByteSize, NonNegativeInt, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ..domain.errors import DomainError
from ..projections.visible_text import visible

_PREFIX: Final = "COWORK_"
_FORMS: Final = {
    "keep_days": "a number of days, as in `90`",
    "max_bytes": "a size, as in `20GB`",
    "debug": "`1` or `0`",
    "unsafe_as_root": "`1` or `0`",
}
"""What can be written for the settings that can be wrong."""


class Settings(BaseSettings):
    """What can be set without a flag.

    `store` (`COWORK_STORE`) is the folder of the event log, the read model and the blobs; `config` (`COWORK_CONFIG`)
    that of the user's policy documents; `debug` (`COWORK_DEBUG`) prints the trace of a bug instead of writing it to a
    file; `unsafe_as_root` (`COWORK_UNSAFE_AS_ROOT`) lets cowork work as root; `keep_days` (`COWORK_KEEP_DAYS`) and
    `max_bytes` (`COWORK_MAX_BYTES`, such as `20GB`) say how long and how much `cowork store gc` lets be kept;
    `workspace` (`COWORK_WORKSPACE`) is where `cowork run --workspace` makes the folders of sessions. Where the
    organisation's policy lies can't be set: who may be bound by it could set it.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, extra="ignore")

    store: Path | None = None
    config: Path | None = None
    debug: bool = False
    unsafe_as_root: bool = False
    keep_days: NonNegativeInt | None = None
    max_bytes: ByteSize | None = None
    workspace: Path | None = None

    def store_folder(self) -> Path:
        """Return the store's folder: the one that was set, or the platform's data folder."""
        return self.store if self.store is not None else user_data_path("cowork", appauthor=False)

    def config_folder(self) -> Path:
        """Return the folder of the user's policy documents: the one that was set, or the platform's."""
        return self.config if self.config is not None else user_config_path("cowork", appauthor=False)

    def workspace_folder(self) -> Path:
        """Return the folder in which sessions get theirs: the one that was set, or `cowork` among the documents."""
        return self.workspace if self.workspace is not None else user_documents_path() / "cowork"


def settings_in_environment() -> Settings:
    """Return what is set. Raises `DomainError` invalid with the name of a variable that is wrong, and its value."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = error.errors()[0]
        name = str(wrong["loc"][0])
        sentence = f"`{_PREFIX}{name.upper()}` can't be `{visible(str(wrong['input']))}`"
        raise DomainError("invalid", sentence, f"write {_FORMS.get(name, 'a path')}") from error
