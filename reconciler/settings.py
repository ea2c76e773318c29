"""The service's own settings: flags over `STATION_*` variables over `station.toml` over defaults.

The descriptions are what users read: `docs/settings.md` and the help of the commands are generated from them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from rbac.admission.settings import DESTROY_BUDGET
from rbac.identity import Admins, Forge, IdentityMode
from reconciler.addresses import check_secure_url, http_url
from reconciler.setting_sources import DATA_DIR, SettingsError, gather
from reconciler.setting_values import (
    Directories,
    Forges,
    InRepository,
    IssuerUrl,
    ListenAddress,
    MailServer,
    Networks,
    PublicUrl,
    SearchPath,
    Texts,
    WorkerUrl,
)
from reconciler.words import plain
from spaces.model.explain import did_you_mean
from spaces.model.people import Email


class MetricsAccess(StrEnum):
    """Who can read the metrics without a token."""

    LOOPBACK = "loopback"
    TOKEN = "token"  # noqa: S105 - a way, no secret


class Settings(BaseModel):
    """Every setting, with its default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config_url: str | None = Field(
        None, description="The URL of the configuration repository: https, http, ssh or file."
    )
    config_branch: str = Field("main", description="The branch to watch.")
    config_path: InRepository = Field(".", description="The directory in the repository that holds the configuration.")
    config_username: str | None = Field(None, description="The user name for the configuration repository, over https.")
    config_password_file: Path | None = Field(
        None, description="A file with the password or token for the configuration repository."
    )
    config_ssh_key_file: Path | None = Field(
        None, description="A file with the private key for the configuration repository, over ssh."
    )
    order_branches: str = Field(
        "station/",
        max_length=60,
        description="What the branches begin with on which the service commits instances that people order from "
        "blueprints. Empty: it commits nothing, and the page shows the document instead.",
    )
    order_email: Email = Field(
        "stationkeeper@localhost",
        description="The committer's address in these commits, for Git servers that check it; "
        "the author is who ordered.",
    )
    data_dir: Path = Field(
        Path(DATA_DIR), description="The directory for mirrors, runs, keys and the embedded database."
    )
    database_url: str | None = Field(None, description="postgresql://…. Default: SQLite in the data directory.")
    seen_file: Path | None = Field(
        None,
        description="The file, outside of the data directory, in which the service notes how far it is: so it notices "
        "a data directory that was restored from a backup. Default: beside the data directory, as station-data.seen.",
    )
    encryption_key_file: Path | None = Field(
        None,
        description="The file with the keys that encrypt tfstate and sensitive outputs. "
        "Default: created in the data directory.",
    )
    run_retention: int | None = Field(
        None,
        ge=1,
        description="How many days runs are kept after their end, with log and plan; what was applied last stays. "
        "Default: for ever.",
    )
    tfstate_versions: int | None = Field(
        None, ge=1, description="How many versions of each stack's tfstate are kept. Default: all."
    )
    poll_interval: float = Field(30.0, gt=0, le=86400, description="Seconds between fetches of the repositories.")
    parallelism: int = Field(4, ge=1, le=1000, description="How many runs may be active at the same time.")
    drift_parallelism: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="How many drift checks may be active at the same time. Default: half of parallelism, at least 1.",
    )
    engine: Literal["local"] = Field(
        "local", description="Where runs start that have no WorkerPool: on the machine of the service."
    )
    listen: ListenAddress = Field("127.0.0.1:8420", description="The address and port of the API and metrics.")
    request_rate: int = Field(
        100,
        ge=0,
        le=1_000_000,
        description="How many requests of the API a second each token may make, on average over ten seconds. "
        "0: any number. The operator's token has no limit.",
    )
    webhook_secret_file: Path | None = Field(
        None,
        description="A file with the secret, of 16 characters or more, with which Git servers sign webhooks to "
        "/hooks/…. Without it no webhooks are taken.",
    )
    public_url: PublicUrl | None = Field(
        None, description="The address under which people reach the page, such as https://station.example.com."
    )
    oidc_issuer: str | None = Field(
        None,
        description="The identity provider that people sign in with (OpenID Connect), exactly as its tokens name it. "
        "It needs public_url: the provider sends browsers back to /sign-in/callback there.",
    )
    oidc_client_id: str | None = Field(None, description="The id of this service as a client of the identity provider.")
    oidc_client_secret_file: Path | None = Field(
        None, description="A file with the client's secret. Default: none, for a public client."
    )
    oidc_scopes: Texts = Field(
        ("openid", "email", "profile"), description="What the service asks the identity provider for."
    )
    oidc_user_claim: str = Field(
        "email",
        description="The claim that says who somebody is: email (a verified address of their User document), or any "
        "other, whose value is the name of their User document.",
    )
    oidc_groups_claim: str = Field(
        "groups", description="The claim with the groups of the identity provider, for Group.spec.idpGroups."
    )
    notify_networks: Networks = Field(
        (),
        description="Networks that notifiers may send to beside public addresses, such as 10.1.0.0/16. Without them no "
        "document makes the service speak to machines of its own network.",
    )
    mail_server: MailServer | None = Field(
        None,
        description="The server that sends mail for notifiers: smtps://host:465, or smtp://host:587 with STARTTLS. "
        "Only a server on this machine may do without encryption.",
    )
    mail_from: Email | None = Field(None, description="The address that mail is from. It needs mail_server.")
    mail_user: str | None = Field(None, description="The name to sign in to the mail server with. Default: no sign-in.")
    mail_password_file: Path | None = Field(None, description="A file with the password for the mail server.")
    mail_domains: Texts = Field(
        (),
        description="The domains that notifiers may send mail to, as example.com. Default: that of mail_from.",
    )
    metrics_access: MetricsAccess = Field(
        MetricsAccess.LOOPBACK,
        description="Who may read /metrics: loopback (this machine needs no token), or token (everyone needs a token "
        "that may read everything).",
    )
    terraform_cli_config: Path | None = Field(
        None,
        description="A CLI configuration file for terraform, opentofu and terragrunt: mirrors of providers, "
        "credentials of registries. Runs see a copy.",
    )
    provider_cache: int = Field(
        10 * 1024**3,
        ge=0,
        description="Bytes of providers that are kept for the runs of terraform, opentofu and terragrunt. "
        "0: every run downloads its own.",
    )
    secrets_dir: Path | None = Field(
        None,
        description="The directory of secret files, with a directory for each space, by its path; `{file: NAME}` reads "
        "from it.",
    )
    sealing_key_file: Path | None = Field(
        None, description="The file with the age keys that open sealed values. Default: created in the data directory."
    )
    sops_keys_dir: Path | None = Field(
        None,
        description="The directory of age keys that open SOPS files, with a directory for each space, by its path. "
        "Documents of a space open files with its keys alone.",
    )
    issuer_url: IssuerUrl | None = Field(
        None,
        description="The URL under which clouds find the keys of run tokens: https, without a port. "
        "Default: runs get no tokens, and stacks with cloud integrations are not run.",
    )
    identity: IdentityMode = Field(
        IdentityMode.SIGNED,
        description="How the author of a commit is known: signed (by its signature), or committer (by the committer's "
        "address, for Git servers that check it).",
    )
    admins: Texts = Field(
        (),
        description="The first admins: names of users, public keys, or addresses if identity is committer. "
        "The repository cannot remove them.",
    )
    identity_forges: Forges = Field(
        (),
        description="Keys with which a Git server signs the merges it makes, each as `author KEY` or `committer KEY`; "
        "the word names the line of the commit that says whose it is.",
    )
    destroy_budget: float = Field(
        DESTROY_BUDGET,
        ge=0,
        le=100,
        description="How many percent of the stacks one commit may remove; 3 are always allowed. A commit with more "
        "is held.",
    )
    env_allowed: Texts = Field((), description="Variables of the service that documents may read with `{env: NAME}`.")
    env_takeover_allowed: Texts = Field(
        (),
        description="Variables that take over a process (PATH, LD_PRELOAD, PYTHONPATH, …) and that people with "
        "env:takeover may set; * stands for any characters.",
    )
    require_sandbox: bool | None = Field(
        None,
        description="Refuse to run anything without bubblewrap: true, false, or, if it is not set, as soon as access "
        "is set up.",
    )
    writable_paths: Directories = Field(
        (Path("/"),),
        description="Directories that every run may write to; everything else is read-only. "
        "/ allows whatever file permissions allow, except homes and the service's own files.",
    )
    file_repositories: Directories = Field(
        (),
        description="Directories on this machine below which Repository documents may name repositories by file://. "
        "config_url may name any.",
    )
    tool_path: SearchPath = Field(
        (),
        description="Directories that are searched for tools before the service's PATH: a list, or text as in PATH.",
    )
    tool_paths: Directories = Field(
        (),
        description="Directories with several versions of tools side by side, as terraform_1.9.8 or 1.9.8/terraform; "
        "toolVersion picks the newest that fits.",
    )
    run_timeout: float = Field(3600.0, gt=0, description="Seconds that a phase may take, if its stack has no timeout.")
    silence_timeout: float = Field(1800.0, gt=0, description="Seconds without output before a run is stopped.")
    grace_period: float = Field(120.0, gt=0, description="Seconds that a stopped run has to end before it is killed.")
    drain_timeout: float = Field(
        0.0,
        ge=0,
        description="Seconds that a service which is told to stop waits for its runs, and starts none meanwhile: for "
        "containers, which take the runs along.",
    )
    run_memory: int = Field(
        4 * 1024**3, ge=256 * 1024**2, description="Bytes of memory that each process of a run may use."
    )
    worker_lease: float = Field(
        60.0,
        ge=2,
        description="Seconds without an answer of the service after which a worker stops its runs. A worker that is "
        "not heard of for as long has lost its plans, and its applies once their tools must have ended.",
    )
    worker_url: WorkerUrl | None = Field(
        None,
        description="The https address at which pods of worker pools reach this service. Default: public_url.",
    )
    kubernetes_config: Path | None = Field(
        None,
        description="A kubeconfig file with the clusters of worker pools on Kubernetes, which they name by its "
        "contexts. Default: the cluster that the service runs in, by the service account of its pod.",
    )
    celery_broker_file: Path | None = Field(
        None,
        description="A file with the URL of the broker for worker pools with the engine celery: redis://…, rediss://…, "
        "sentinel://…, amqp://… or amqps://…, with its password. The service and these workers need it.",
    )
    log_limit: int = Field(16 * 1024 * 1024, ge=4096, description="Bytes of a run's log that are kept.")

    _places: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("oidc_issuer")
    @classmethod
    def _provider(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        try:
            check_secure_url(value)
        except ValueError:
            raise ValueError("write its address, such as https://login.example.com/realms/main") from None
        if info.data.get("public_url") is None:
            raise ValueError("set public_url, too: the provider sends browsers back to it")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.oidc_issuer is not None and not self.oidc_client_id:
            raise ValueError("set oidc_client_id, too: the provider knows this service by it")
        if self.mail_server is not None and self.mail_from is None:
            raise ValueError("set mail_from, too: mail needs an address that it is from")
        return self

    @field_validator("admins")
    @classmethod
    def _admins_readable(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        # A wrong identity has its own message.
        if "identity" in info.data:
            Admins.parse(value, info.data["identity"])
        return value

    def model_post_init(self, context: Any, /) -> None:
        """Keep where the settings are from, which `load` gives along."""
        self._places.update(context or {})

    @property
    def places(self) -> Mapping[str, str]:
        """Where each setting is from that is no default."""
        return self._places

    @property
    def forges(self) -> tuple[Forge, ...]:
        """The forges' keys, parsed."""
        return tuple(map(Forge.parse, self.identity_forges))

    @property
    def first_admins(self) -> Admins:
        """The admins that the repository cannot remove, parsed."""
        return Admins.parse(self.admins, self.identity)

    @property
    def database(self) -> str:
        """The URL of the database."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'station.db'}"

    @property
    def key_files(self) -> tuple[Path, Path]:
        """The files of the keys that encrypt what is stored, and of those that open sealed values."""
        directory = self.data_dir.absolute()
        encryption = self.encryption_key_file or directory / "encryption.key"
        return encryption, self.sealing_key_file or directory / "sealing.key"

    @property
    def own_paths(self) -> list[Path]:
        """The files and directories of the service itself: every setting whose name ends in `_file` or `_dir`."""
        named = (getattr(self, name) for name in type(self).model_fields if name.endswith(("_file", "_dir")))
        return [path.absolute() for path in named if path is not None]

    @property
    def notes(self) -> tuple[Path, Path]:
        """The files that say how far the service is: in the data directory, and outside of it."""
        directory = self.data_dir.absolute()
        outside = self.seen_file or directory.with_name(f"{directory.name}.seen")
        return directory / "generation", outside.absolute()

    @property
    def most_checks(self) -> int:
        """How many drift checks may be active at once."""
        return self.drift_parallelism or max(1, self.parallelism // 2)

    @property
    def search_path(self) -> str:
        """Where tools are searched: the setting, the service's PATH, and beside the service's own Python."""
        places = [*map(str, self.tool_path), os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)]
        return os.pathsep.join(place for place in places if place)

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The address and port to listen on. Port 0 takes any free port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def listen_url(self) -> str:
        """The URL under which this machine reaches the service."""
        return http_url(*self.host_and_port)

    @classmethod
    def load(cls, flags: Mapping[str, Any], environ: Mapping[str, str], directory: Path) -> Self:
        """Merge the settings of all sources; raise SettingsError that names the wrong setting and its source."""
        values, places = gather(cls.model_fields, flags, environ, directory)
        try:
            return cls.model_validate(values, context=places)
        except ValidationError as wrong:
            first = wrong.errors()[0]
            name = str(next(iter(first["loc"]), "settings"))
            message = plain(first)
            if first["type"] == "extra_forbidden":
                near = did_you_mean(name, cls.model_fields)
                message = "unknown setting" + (f": {near}" if near else "")
            raise SettingsError(f"{name} (from {places.get(name, 'defaults')}): {message}") from None
