"""The one place that reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    IPvAnyNetwork,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gift_core.config.addresses import AddressError, HttpAddress, is_loopback, parse_host
from gift_core.config.paths import absolute_path, expand_path
from gift_core.errors import GiftError, Problem, problem_of
from workers.locations import LocationError, check_artefacts_url, check_queue_url, check_store_url
from workers.logs import LogFormat, LogLevel
from workers.webhook_addresses import Target

# Where Gradio keeps what browsers send, and the folder's name below the data folder.
UPLOADS_VARIABLE = "GRADIO_TEMP_DIR"
UPLOADS = "uploads"
# Settings that messages name.
DATA_DIR, STORE_URL, QUEUE_URL = "GIFT_DATA_DIR", "GIFT_STORE_URL", "GIFT_QUEUE_URL"
ARTEFACTS_URL = "GIFT_ARTEFACTS_URL"
# A job's process inherits these variables and nothing else, so no credential of the studio reaches it.
_INHERITED = (
    *("PATH", "HOME", "USER", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("CUDA_HOME", "CUDA_PATH", "NVIDIA_VISIBLE_DEVICES", "CC", "CXX", "HF_ENDPOINT"),
    *("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF"),
)
# How several GPUs talk to each other.
_INHERITED_PREFIXES = ("NCCL_", "GLOO_")
# Folders and files that a user has put elsewhere: caches, so that a job finds what the pages offer, and certificates.
_PLACES = (
    *("TMPDIR", "XDG_CACHE_HOME", "TORCH_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH"),
    *("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ASSETS_CACHE", "HF_XET_CACHE"),
    *("HF_MODULES_CACHE", "TRANSFORMERS_CACHE"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
# Only for a process that uploads: the address of a proxy often holds a password.
_PROXIES = tuple(
    name for scheme in ("HTTP", "HTTPS", "ALL", "NO") for name in (f"{scheme}_PROXY", f"{scheme.lower()}_proxy")
)
_THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_PREFIX = "GIFT_"
_HUB_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_API_PATH = "/api/v1"
_CHECKS = {"store_url": check_store_url, "queue_url": check_queue_url, "artefacts_url": check_artefacts_url}
# An empty variable counts as left out, except where that would take a protection away or change what CUDA means by it.
_MEANT_EMPTY = frozenset({"secret", "webhook_secret", "cuda_visible_devices"})


class SettingsError(GiftError):
    """An environment variable of the studio has a value that it cannot have."""

    code = "settings"


MIN_SECRET = 16


class ConfigurationError(GiftError):
    """The studio cannot start with these settings."""

    code = "configuration"


class Settings(BaseSettings):
    """How the studio runs on this machine: `GIFT_PORT=7861` sets `port`, and so on."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(7860, ge=1, le=65_535, description="Port to listen on.")
    data_dir: Path = Field(Path("data"), description="Folder of the run store, the queue, data sets and runs.")
    api_url: str | None = Field(None, description="Backend the pages speak to; the embedded one when left out.")
    embedded_worker: bool = Field(True, description="Train inside this process tree rather than in another worker.")
    recorded_example: bool = Field(True, description="Show a recorded experiment while there is no other.")
    upload_limit_mb: PositiveInt = Field(50, description="Largest data set that may be uploaded, in megabytes.")
    training_threads: PositiveInt = Field(
        default_factory=lambda: os.cpu_count() or 1, description="Threads of a training process."
    )
    side_threads: PositiveInt = Field(1, description="Threads of a job that runs beside a training on the CPU.")
    devices: str = Field(
        "auto", description="What the embedded worker computes on: `auto`, `cpu`, or names such as `cuda:0,cuda:1`."
    )
    cuda_visible_devices: str | None = Field(
        None, validation_alias="cuda_visible_devices", description="CUDA's own variable: `auto` takes no other GPU."
    )
    hub_token: SecretStr | None = Field(
        None,
        description="Token for uploads to the Hub that are asked for without one. Only uploading processes get it.",
    )
    side_slots: PositiveInt = Field(1, description="Jobs at once that need no device of their own.")
    stop_grace_seconds: PositiveFloat = Field(
        300.0, description="How long a stopped job may take to save what it can be resumed from."
    )
    inference_threads: PositiveInt = Field(1, description="Threads that inspect and denoise for the pages.")
    lease_seconds: PositiveFloat = Field(
        15.0, description="A job whose worker has not been heard of for this long is given to another."
    )
    store_url: SecretStr | None = Field(
        None, description="Database, sqlite:// or postgresql://; a SQLite file in `data_dir` when left out."
    )
    queue_url: SecretStr | None = Field(
        None,
        description="Queue: redis://, rediss://, postgresql://, sqlite://; a SQLite file in `data_dir` when left out.",
    )
    artefacts_url: SecretStr | None = Field(
        None,
        description="Where files of jobs are kept for other hosts, s3:// or file://; only in `data_dir` when left out.",
    )
    log_format: LogFormat | None = Field(
        None, description="`text` or `json`; text on a terminal and JSON elsewhere when left out."
    )
    log_level: LogLevel = Field("info", description="Of the studio's own messages: debug, info, warning or error.")
    disk_quota_gb: PositiveFloat | None = Field(
        None, description="Above this, files of ended jobs that are not pinned are removed, the oldest first."
    )
    keep_days: PositiveFloat | None = Field(
        None, description="Files of jobs that ended longer ago, and are not pinned, are removed."
    )
    disk_floor_gb: NonNegativeFloat = Field(
        0.5, description="No job is taken on while less than this is free on the disk, in gigabytes (10^9 bytes)."
    )
    webhook_urls: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Who is told of ends, failures, stalls and collapses: https:// URLs, separated by commas."
    )
    webhook_secret: SecretStr | None = Field(
        None, min_length=1, description="Key with which messages to webhooks are signed."
    )
    stall_seconds: PositiveFloat = Field(
        600.0, description="A running job that has reported nothing for this long counts as stalled."
    )
    entropy_collapse_share: float = Field(
        0.1, gt=0, lt=1, description="A mean entropy below this share of that at the start counts as a collapse."
    )

    secret: SecretStr | None = Field(
        None, min_length=MIN_SECRET, description="Password of the account admin; with it, everybody has to sign in."
    )
    public: bool | None = Field(None, description="Whether who is not signed in may look; on a Space yes, else no.")
    public_url: str | None = Field(
        None, description="Address of the pages as browsers see it, where a proxy in front changes it."
    )
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        (), description="Addresses or networks of proxies that say in X-Forwarded-For whose request they pass on."
    )
    session_hours: PositiveFloat = Field(168.0, description="How long a browser stays signed in.")
    sign_in_role: Literal["visitor", "owner"] | None = Field(
        None, description="Role of people who sign in with the Hub: visitor or owner; visitor on a Space, else owner."
    )
    sign_in_owners: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="The Hub's names of people who are owners, separated by commas."
    )
    sign_in_organizations: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="The Hub's names of organizations whose members are owners, separated by commas."
    )
    requests_per_minute: PositiveInt = Field(600, description="Of one account, or of one address without one.")
    changes_per_minute: PositiveInt = Field(60, description="Of those, requests that start, stop or change something.")
    queued_runs: PositiveInt = Field(100, description="Jobs of one account, of every kind, that may wait at once.")
    account_upload_mb: PositiveInt = Field(500, description="All data sets of one account, in megabytes.")
    account_computations: PositiveInt = Field(4, description="Requests of one account that compute at once.")
    computations: PositiveInt = Field(16, description="Requests of all accounts that compute at once.")
    body_seconds: PositiveFloat = Field(
        30.0, description="A request's body, or the next part of a file, comes in this."
    )
    connections: PositiveInt = Field(2000, description="Connections at once; half of the descriptors at most.")
    address_connections: PositiveInt = Field(
        200, description="Connections of one address at once; of proxies and of this machine, any number of them."
    )
    head_seconds: PositiveFloat = Field(15.0, description="The head of a request comes in this, from its first wait.")
    streams: PositiveInt = Field(500, description="Streams of events at once; a quarter of the connections at most.")
    account_streams: PositiveInt = Field(64, description="Of one account, or of one address without one.")
    # Set by a Hugging Face Space, under these names.
    space_id: str | None = Field(None, validation_alias="space_id", description="Set on a Space.")
    space_host: str | None = Field(None, validation_alias="space_host", description="The Space's own host name.")
    space_creator_user_id: str | None = Field(
        None, validation_alias="space_creator_user_id", description="The Hub's number of who made the Space: an admin."
    )
    openid_provider_url: str | None = Field(
        None,
        validation_alias="openid_provider_url",
        description="Where people sign in, such as https://huggingface.co.",
    )
    oauth_client_id: str | None = Field(None, validation_alias="oauth_client_id", description="This application there.")
    oauth_client_secret: SecretStr | None = Field(
        None, validation_alias="oauth_client_secret", description="And its password."
    )

    @field_validator("store_url", "queue_url", "artefacts_url")
    @classmethod
    def _is_a_location(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        try:
            if url is not None:
                _CHECKS[str(info.field_name)](url.get_secret_value())
        except LocationError as error:
            problem = error.problems[0]
            raise ValueError(f"{problem.message} {problem.remedy}") from None
        return url

    @model_validator(mode="before")
    @classmethod
    def _is_left_out_where_empty(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        def is_left_out(name: str, value: object) -> bool:
            return isinstance(value, str) and not value.strip() and name not in _MEANT_EMPTY

        return {name: value for name, value in given.items() if not is_left_out(name, value)}

    @field_validator("host")
    @classmethod
    def _is_a_host(cls, host: str) -> str:
        return parse_host(host)

    @field_validator("data_dir", mode="before")
    @classmethod
    def _is_a_path(cls, path: object) -> object:
        return expand_path(path.strip() if isinstance(path, str) else path) if isinstance(path, str | Path) else path

    @field_validator("api_url", "public_url", "openid_provider_url")
    @classmethod
    def _is_an_address(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is None:
            return None
        address = HttpAddress.parse(url)
        if info.field_name == "api_url" and address.path.endswith(_API_PATH):
            raise AddressError(f"The address of a studio ends before {_API_PATH}.")
        return str(address)

    @field_validator("webhook_urls", "trusted_proxies", "sign_in_owners", "sign_in_organizations", mode="before")
    @classmethod
    def _separated(cls, given: object) -> object:
        return [part for part in re.split(r"[,\s]+", given) if part] if isinstance(given, str) else given

    @field_validator("trusted_proxies")
    @classmethod
    def _are_some(cls, networks: tuple[IPv4Network | IPv6Network, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("whoever asks could say where they ask from. Name the proxies.")
        return networks

    @field_validator("sign_in_owners", "sign_in_organizations")
    @classmethod
    def _are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(_HUB_NAME, name):
                raise ValueError("One of these is no name of the Hub: give each as in huggingface.co/NAME.")
        return tuple(name.casefold() for name in names)

    @field_validator("webhook_urls")
    @classmethod
    def _is_allowed(cls, urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for url in urls:
            Target.of(url.get_secret_value())
        return urls

    @property
    def password(self) -> str | None:
        """The admin's password in the clear."""
        return self.secret.get_secret_value() if self.secret else None

    @property
    def has_accounts(self) -> bool:
        """Whether callers have to say who they are. Without, whoever reaches the port is the admin."""
        return self.secret is not None or self.has_oauth or self.space_id is not None

    @property
    def has_oauth(self) -> bool:
        return bool(self.openid_provider_url and self.oauth_client_id and self.oauth_client_secret)

    @property
    def is_public(self) -> bool:
        return self.public if self.public is not None else self.space_id is not None

    @property
    def newcomer_role(self) -> str:
        """Role of people who sign in with the Hub and are not named."""
        return self.sign_in_role or ("visitor" if self.space_id is not None else "owner")

    @property
    def base_url(self) -> str | None:
        """Where browsers find the pages; None where that is wherever they asked."""
        if self.public_url:
            return self.public_url
        return f"https://{self.space_host}" if self.space_host else None

    def check_exposure(self) -> None:
        """Refuse to serve other machines without a way to tell who asks; raises `ConfigurationError`."""
        if self.space_id is not None and not self.has_oauth and self.secret is None:
            raise ConfigurationError(
                "On a Space nobody could sign in.",
                field="hf_oauth",
                remedy="Write `hf_oauth: true` into the Space's README, or add the secret GIFT_SECRET.",
            )
        if not is_loopback(self.host) and not self.has_accounts:
            raise ConfigurationError(
                f"Listening on {self.host} would let every machine that reaches it do everything.",
                field="GIFT_HOST",
                remedy=f"Set GIFT_SECRET to a password of at least {MIN_SECRET} characters, or leave GIFT_HOST out.",
            )


def read_settings() -> Settings:
    """What the environment says. Raises `SettingsError` with every problem, by the name of its variable."""
    try:
        return Settings()
    except ValidationError as error:
        items = error.errors(include_url=False)
    raise SettingsError.of([_problem(item) for item in items])


def _problem(item: Mapping[str, Any]) -> Problem:
    """What is wrong with a variable, without its value: a password may stand in the wrong variable as well."""
    name = next((str(part) for part in item["loc"]), "")
    variable = variable_of(name)
    if item["type"] == "too_short":
        least = item["ctx"]["min_length"]
        return Problem(f"It needs at least {least} character{'s' if least > 1 else ''}.", variable, _TOO_SHORT)
    found = problem_of(item, [name], repeats=False)
    # Where a check of ours has said what to do, there is no more to say.
    remedy = "" if name in _CHECKS and item["type"] == "value_error" else found.remedy
    return Problem(found.message, variable, _REMEDIES.get(name, remedy))


def variable_of(field: str) -> str:
    """The environment variable that sets a field of `Settings`."""
    known = Settings.model_fields.get(field)
    alias = known.validation_alias if known else None
    return str(alias or f"{_PREFIX}{field}").upper()


_TOO_SHORT = "Make one with `openssl rand -base64 24`, or leave it out."
_REMEDIES = {
    "host": "Write it like 127.0.0.1, ::1 or 0.0.0.0; the port is GIFT_PORT.",
    "data_dir": "Write the folder's whole path.",
    "api_url": "Write it like http://127.0.0.1:7860, or https://example.org/studio.",
    "public_url": "Write it like https://studio.example.org: what a browser shows for the studio's first page.",
    "openid_provider_url": "Write it like https://huggingface.co.",
}


def prepare_environment(data: Path | None = None) -> None:
    """Keep the web process off the network: no telemetry, no look-ups. Call it before gradio is imported.

    What browsers send arrives below `data`: Gradio's own choice is a folder that all programs of the machine share.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if data is not None:
        os.environ.setdefault(UPLOADS_VARIABLE, str(data / UPLOADS))


def uploads_folder() -> Path:
    """Where Gradio puts what browsers send, once `prepare_environment` was called with a folder."""
    return Path(os.environ[UPLOADS_VARIABLE])


def process_rank() -> int:
    """Which of the processes of one job this is, as torchrun says it; the first is 0."""
    return int(os.environ.get("RANK", "0"))


def push_environment(token: str) -> dict[str, str]:
    """What a process that uploads gets besides: the token, and the way to the Hub."""
    return _given(_PROXIES) | {"HF_TOKEN": token, "HF_HUB_OFFLINE": "0"}


def job_environment(threads: int) -> dict[str, str]:
    """The environment of a job's process: what the user configured, no credentials, no access to the Hub."""
    configured = _given(_INHERITED) | _given(name for name in os.environ if name.startswith(_INHERITED_PREFIXES))
    # A job's process has another working directory.
    places = {name: absolute_path(value) for name, value in _given(_PLACES).items()}
    return (
        configured
        | places
        | dict.fromkeys(_THREAD_COUNTS, str(threads))
        | {
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            # A login on this machine is for the people who use it, not for jobs.
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONUNBUFFERED": "1",
        }
    )


def _given(names: Iterable[str]) -> dict[str, str]:
    """The variables of these names that are set to something."""
    return {name: value for name in names if (value := os.environ.get(name))}
