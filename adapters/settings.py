"""Settings of this machine: from the environment (`COWORK_…`), with a default for each."""

from pathlib import Path

from platformdirs import user_data_path
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What can be set without a flag.

    `store` (`COWORK_STORE`) is the folder of the event log, the read model and the blobs; `debug` (`COWORK_DEBUG`)
    prints the trace of a bug instead of writing it to a file.
    """

    model_config = SettingsConfigDict(env_prefix="COWORK_", extra="ignore")

    store: Path | None = None
    debug: bool = False

    def store_folder(self) -> Path:
        """Return the store's folder: the one that was set, or the platform's data folder."""
        return self.store if self.store is not None else user_data_path("cowork", appauthor=False)
