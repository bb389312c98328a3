"""How commands reach the subject vault, prove who asks, and bring its audit events to the pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from proventrail.cli.errors import NO, CommandError
from proventrail.cli.options import Target, with_target
from proventrail.privacy.vault import KeyProvider, Refused, SealError, Vault, key_provider, open_vault
from proventrail.privacy.vault.journal import Journal
from proventrail.privacy.vault.principals import PRINCIPALS_FILE, Principals, Role
from proventrail.privacy.vault.vault import DATABASE_FILE, JOURNAL_FILE
from proventrail.schemas.settings import KafkaSettings

F = TypeVar("F", bound=Callable[..., Any])

_SECONDS = 10.0


@dataclass(frozen=True)
class VaultAccess:
    """The vault that the options name; by default that of the data directory."""

    target: Target
    url: str | None = None
    key: str | None = None

    @property
    def folder(self) -> Path:
        return self.target.data_dir / "vault"

    @property
    def address(self) -> str:
        return self.url or str(self.folder / DATABASE_FILE)

    @property
    def journal_path(self) -> Path:
        return self.folder / JOURNAL_FILE

    @property
    def keys(self) -> KeyProvider:
        return key_provider(self.key or f"file:{self.target.data_dir / 'keys' / 'kek.json'}")

    @property
    def principals(self) -> Principals:
        return Principals(self.folder / PRINCIPALS_FILE)

    def options(self) -> list[str]:
        """The same, as options of another command."""
        found = (("--vault", self.url), ("--vault-key", self.key))
        return [part for name, value in found if value for part in (name, value)]

    def open(self) -> Vault:
        """Raises VaultError."""
        return open_vault(self.address, self.keys, journal=self.journal_path)

    @contextmanager
    def opened(self) -> Iterator[Vault]:
        """The open vault; what its journal has for the pipeline is sent at the end."""
        with self.open() as vault:
            try:
                yield vault
            except (Refused, SealError) as error:
                raise CommandError(str(error), NO) from None
            finally:
                self.send(vault.journal)

    def prove(self, name: str, *roles: Role) -> str:
        """The name, once the token proves it and it has one of `roles`."""
        token = os.environ.get("PROVENTRAIL_PRINCIPAL_TOKEN") or click.prompt(
            f"token of {name}", hide_input=True, err=True
        )
        try:
            return self.principals.authenticate(name, token.strip(), *roles).name
        except Refused as error:
            raise CommandError(str(error), NO) from None

    def send(self, journal: Journal) -> None:
        """Bring the journal's events to the pipeline; where it can't be reached they wait for the next command."""
        if not journal.unsent():
            return
        try:
            sent = _send(self.target.kafka(), journal, self.folder / "spool")
        except CommandError:
            sent = False
        if not sent:
            click.echo(
                f"note: the pipeline does not answer, its audit events are kept in {journal.path}; "
                "the next `proventrail privacy` command sends them",
                err=True,
            )


def _send(kafka: KafkaSettings, journal: Journal, spool: Path) -> bool:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from proventrail.producers import Emitter

    config = {**kafka.client_config(), "log_level": 2}
    try:
        AdminClient(config).list_topics(timeout=_SECONDS)
    except KafkaException:
        return False
    del config["bootstrap.servers"]
    with Emitter(kafka.bootstrap_servers, spool_dir=spool, strict=True, config=config) as emitter:
        journal.send(emitter.emit, lambda: emitter.flush(_SECONDS))
    return not journal.unsent()


def with_vault(command: F) -> F:
    """Give a command the options of `with_target` and those of the vault; it gets them as one `access`."""

    @click.option(
        "--vault",
        envvar="PROVENTRAIL_VAULT",
        metavar="PATH|URL",
        help="A SQLite file, or postgresql://… Default: vault/vault.db of the data directory.",
    )
    @click.option(
        "--vault-key",
        envvar="PROVENTRAIL_VAULT_KEY",
        metavar="KEY",
        help="file:PATH, env:NAME or kms:NAME. Default: file:keys/kek.json of the data directory.",
    )
    def inner(target: Target, vault: str | None, vault_key: str | None, **options: Any) -> Any:
        return command(access=VaultAccess(target, vault, vault_key), **options)

    inner.__name__, inner.__doc__ = command.__name__, command.__doc__
    wrapped: Any = inner
    wrapped.__click_params__ += getattr(command, "__click_params__", [])
    return with_target(wrapped)  # type: ignore[no-any-return]


policy_option = click.option(
    "--policy",
    envvar="PROVENTRAIL_POLICY",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What happens to personal data, as YAML (docs/privacy.md). Default: the policy that ships.",
)
as_principal = click.option(
    "--as",
    "principal",
    required=True,
    metavar="NAME",
    help="Who asks. The token: PROVENTRAIL_PRINCIPAL_TOKEN, or at the prompt.",
)
subject_option = click.option("--subject", required=True, metavar="ID", help="The subject's id, as `find` gives it.")
