"""Settings of this machine: from the environment (`COWORK_…`), with a default for each."""

from pathlib import Path

from platformdirs import user_config_path, user_data_path, user_documents_path
from pydantic import ByteSize, NonNegativeInt
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What can be set without a flag.

    `store` (`COWORK_STORE`) is the folder of the event log, the read model and the blobs; `config` (`COWORK_CONFIG`)
    that of the user's policy documents; `debug` (`COWORK_DEBUG`) prints the trace of a bug instead of writing it to a
    file; `unsafe_as_root` (`COWORK_UNSAFE_AS_ROOT`) lets cowork work as root; `keep_days` (`COWORK_KEEP_DAYS`) and
    `max_bytes` (`COWORK_MAX_BYTES`, such as `20GB`) say how long and how much `cowork store gc` lets be kept;
    `workspace` (`COWORK_WORKSPACE`) is where `cowork run --workspace` makes the folders of sessions. Where the
    organisation's policy lies can't be set: who may be bound by it could set it.
    """

    model_config = SettingsConfigDict(env_prefix="COWORK_", env_ignore_empty=True, extra="ignore")

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
