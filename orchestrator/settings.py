"""Settings: ``LEASEHOLD_*`` variables over a TOML file over the defaults."""

import os
from difflib import get_close_matches
from pathlib import Path

from platformdirs import user_config_path, user_state_path
from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

_PREFIX = "LEASEHOLD_"
# set in places, for what runs there; and that of the bubblewrap driver
_NO_SLIPS = ("LEASEHOLD_PLACE", "LEASEHOLD_LEASE", "LEASEHOLD_COMMAND", "LEASEHOLD_CGROUPS")


class Settings(BaseSettings):
    """How this process works. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid")

    store: str | None = Field(default=None, description="the store's URL; a SQLite file in the state folder by default")
    state_folder: Path = Field(
        default_factory=lambda: user_state_path("leasehold", appauthor=False),
        description="where the default store, local places and kept changes are",
    )
    table_prefix: str = Field(
        default="leasehold_", pattern=r"[A-Za-z_]\w*", description="what the names of the store's tables begin with"
    )
    company: str = Field(default="default", description="the tenant that the command line acts for")
    claim_seconds: float = Field(default=30.0, gt=0, description="how long an owner holds its leases unrenewed")
    ttl_seconds: float = Field(default=86400.0, gt=0, description="the end of a lease that nobody gave another")
    store_patience_seconds: float = Field(default=10.0, gt=0, description="how long a locked store is waited for")
    acquire_seconds: float = Field(default=600.0, gt=0, description="the deadline of obtaining a place")
    realize_seconds: float = Field(default=1800.0, gt=0, description="the deadline of putting the workspace there")
    sync_back_seconds: float = Field(default=1800.0, gt=0, description="the deadline of bringing changes back")
    cleanup_seconds: float = Field(default=300.0, gt=0, description="the deadline of one try to end a place")

    worker_seconds: float = Field(default=1.0, gt=0, description="the pause between two passes of a worker")
    sweep_seconds: float = Field(default=300.0, gt=0, description="the pause between two sweeps of a worker")
    sweep_grace_seconds: float = Field(
        default=600.0, ge=0, description="how long a place that belongs to nobody stands before a sweep destroys it"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=cls.file())

    @staticmethod
    def file() -> Path:
        """The file that is read, where it is there."""
        return user_config_path("leasehold", appauthor=False) / "leasehold.toml"

    @classmethod
    def slips(cls) -> list[str]:
        """The variables of this process that begin like a setting and are none."""
        known = (*(f"{_PREFIX}{name.upper()}" for name in cls.model_fields), *_NO_SLIPS)
        return sorted(name for name in os.environ if name.upper().startswith(_PREFIX) and name.upper() not in known)

    @classmethod
    def nearest(cls, name: str) -> str:
        """The setting whose name is the most like this; empty where none is."""
        return next(iter(get_close_matches(name.lower(), cls.model_fields, 1)), "")

    def store_url(self) -> str:
        """The store's URL, also where none was named."""
        return self.store or f"sqlite:///{self.state_folder.absolute() / 'leasehold.db'}"
