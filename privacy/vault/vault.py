"""The subject vault: which subject id and key stand for a value, kept until the subject is erased."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from proventrail.privacy.vault import keyring as rings
from proventrail.privacy.vault import witness
from proventrail.privacy.vault.cache import SubjectCache
from proventrail.privacy.vault.database import Access, Database, Row, Session, SqliteDatabase
from proventrail.privacy.vault.errors import VaultError
from proventrail.privacy.vault.journal import Entry, Journal, Now, utc_now
from proventrail.privacy.vault.keyring import Keyring
from proventrail.privacy.vault.keys import KEY_BYTES, KeyProvider
from proventrail.privacy.vault.subject import Subject, new_subject_id
from proventrail.privacy.vault.witness import Tombstone

PURPOSE = "purpose"
"""The kind of subjects that stand for no person: the keys of `Vault.purpose_key`."""

DATABASE_FILE = "vault.db"
JOURNAL_FILE = "journal.jsonl"
CACHE_SECONDS = 45.0
CACHE_SIZE = 200_000
_CHUNK = 500
_COLUMNS = "lookup, subject_id, kind, generation, wrapped"


def _since_boot() -> float:
    # CLOCK_MONOTONIC stands still while a machine sleeps, and a cached key would outlive its time.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _lookup_input(kind: str, value: str) -> bytes:
    parts = (kind.encode("utf-8", "surrogatepass"), value.encode("utf-8", "surrogatepass"))
    return len(parts[0]).to_bytes(8, "big") + parts[0] + parts[1]


class Vault:
    """An open vault; made by `open_vault`. Safe to use from threads; not over a fork.

    `clock` gives seconds that only go forward and bounds how long a subject is used without asking the database again:
    `cache_seconds` (at most 60) is the time within which an erasure is in force everywhere.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyProvider,
        journal: Journal,
        *,
        clock: Callable[[], float] = _since_boot,
        cache_seconds: float = CACHE_SECONDS,
        cache_size: int = CACHE_SIZE,
    ) -> None:
        self.database = database
        self.keys = keys
        self.journal = journal
        self._clock = clock
        self._cache = SubjectCache(cache_size, cache_seconds)
        self._lock = threading.RLock()
        self._keyring: Keyring | None = None

    def __enter__(self) -> Vault:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.database.close()

    # -- opening -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Compare database and journal, and unwrap the keys; a new vault gets its own. Raises VaultError."""
        with self.transaction("change") as session:
            empty = not rings.generations(session)
            finished = witness.finish_last(session, self.journal)
            witness.check(session, self.journal, empty=empty, one_host=self.database.one_host)
            self._keyring = rings.load(session, self.keys) or rings.create(session, self.keys)
        # Only now: a crash between the two leaves keys without a journal, which the next start mends.
        with self.transaction("change") as session:
            witness.learn(session, self.journal, self.keyring)
        if finished:
            self.database.scrub()

    def repair(self, tombstones: Iterable[Tombstone]) -> int:
        """Bring a restored database in line with the journal and with tombstones that were exported.

        Gives how many subjects were erased again. Raises VaultError if the journal's own chain is broken, or a
        tombstone is not of this vault.
        """
        with self.transaction("change") as session:
            if not rings.generations(session):
                raise VaultError("the vault's database is empty: restore it first")
            gone = witness.apply_tombstones(session, self.journal, self.reload_keys(session), tombstones)
        self.database.scrub()
        return gone

    @property
    def keyring(self) -> Keyring:
        if self._keyring is None:
            raise VaultError("the vault is not open")
        return self._keyring

    def reload_keys(self, session: Session) -> Keyring:
        """The keys as they stand now: another process may have rotated them. Raises VaultError."""
        found = rings.load(session, self.keys)
        if found is None:
            raise VaultError("the vault has lost its keys: restore it from a backup")
        self._keyring = found
        return found

    @contextmanager
    def transaction(self, access: Access) -> Iterator[Session]:
        with self._lock, self.database.transaction(access) as session:
            yield session

    def record(self, session: Session, action: str, details: Mapping[str, object]) -> Entry:
        """Write an audit event to the journal, before the transaction that does what it says is committed."""
        return witness.record(session, self.journal, action, details)

    # -- subjects ------------------------------------------------------------------------------------------------------

    def subjects(self, wanted: Sequence[tuple[str, str]]) -> list[Subject]:
        """The subjects of (kind, normalised value) pairs, in their order; those that are missing are made.

        All new ones are committed, durably, in one transaction before this returns; two processes that ask at once get
        the same. A value whose subject was erased gets a new one. Raises VaultError.
        """
        if any(kind == PURPOSE for kind, _ in wanted):
            raise ValueError(f"{PURPOSE!r} is no kind of value: use purpose_key")
        return self._subjects(wanted)

    def purpose_key(self, purpose: str) -> Subject:
        """The key for something that belongs to no person, such as `dead-letters`. Raises VaultError."""
        return self._subjects([(PURPOSE, purpose)])[0]

    def lookup(self, kind: str, value: str) -> bytes:
        """`HMAC(index key, kind ‖ value)`, by which the value's row is found."""
        return hmac.digest(self.keyring.index, _lookup_input(kind, value), "sha256")

    def _subjects(self, wanted: Sequence[tuple[str, str]]) -> list[Subject]:
        lookups = [self.lookup(kind, value) for kind, value in wanted]
        kinds = {lookup: kind for lookup, (kind, _) in zip(lookups, wanted, strict=True)}
        with self._lock:
            now = self._clock()
            found = self._cache.get(kinds, now)
            missing = kinds.keys() - found.keys()
            if missing:
                read = self._read(missing)
                new = {lookup: kinds[lookup] for lookup in missing - read.keys()}
                if new:
                    read |= self._create(new)
                self._cache.put(read, now)
                found |= read
        return [found[lookup] for lookup in lookups]

    def _read(self, lookups: Collection[bytes]) -> dict[bytes, Subject]:
        with self.transaction("read") as session:
            return self._open_rows(session, _select(session, "lookup", lookups))

    def _open_rows(self, session: Session, rows: Sequence[Row]) -> dict[bytes, Subject]:
        ring = self.keyring
        if any(row[3] not in ring.data for row in rows):
            ring = self.reload_keys(session)
        return {bytes(row[0]): ring.unwrap_subject(row) for row in rows}

    def _create(self, new: Mapping[bytes, str]) -> dict[bytes, Subject]:
        with self.transaction("insert") as session:
            ring = self.keyring
            if rings.generations(session)[-1:] != [ring.generation]:
                ring = self.reload_keys(session)
            rows = []
            # In one order everywhere: two processes that insert the same values never wait for each other in a ring.
            for lookup in sorted(new):
                subject = Subject(new_subject_id(), secrets.token_bytes(KEY_BYTES))
                wrapped = ring.wrap_subject(subject, lookup, new[lookup])
                rows.append((lookup, subject.subject_id, new[lookup], ring.generation, wrapped))
            session.run_many(
                f"INSERT INTO subjects ({_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (lookup) DO NOTHING", rows
            )
            return self._open_rows(session, _select(session, "lookup", new))

    def key_of(self, subject_ids: Sequence[str]) -> dict[str, bytes]:
        """The keys of subjects, asked of the database each time; an erased one is missing. Raises VaultError."""
        with self.transaction("read") as session:
            found = self._open_rows(session, _select(session, "subject_id", set(subject_ids)))
        return {subject.subject_id: subject.key for subject in found.values()}

    def find(self, kind: str, value: str) -> str | None:
        """The subject id of a value, None if it has none; makes nothing."""
        found = self._read([self.lookup(kind, value)])
        return next((subject.subject_id for subject in found.values()), None)

    def erased_before(self, kind: str, value: str) -> list[tuple[str, str]]:
        """Subject id and time of each erasure of this value."""
        with self.transaction("read") as session:
            return [
                (subject_id, erased_at)
                for subject_id, erased_at in session.rows(
                    "SELECT subject_id, erased_at FROM tombstones WHERE lookup = ? ORDER BY erased_at",
                    (self.lookup(kind, value),),
                )
            ]

    def tombstones(self) -> list[Tombstone]:
        """All erasures, in the order of their times."""
        with self.transaction("read") as session:
            rows = session.rows("SELECT subject_id, erased_at FROM tombstones ORDER BY erased_at, subject_id")
        prove = self.keyring.tombstone_proof
        return [Tombstone(subject_id, erased_at, prove(subject_id, erased_at)) for subject_id, erased_at in rows]

    def forget_cached(self, subject_id: str) -> None:
        """Drop an erased subject from this process's memory at once."""
        with self._lock:
            self._cache.forget(subject_id)


def _select(session: Session, column: str, values: Collection[bytes] | Collection[str]) -> list[Row]:
    wanted = list(values)
    rows: list[Row] = []
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        marks = ", ".join("?" * len(chunk))
        rows += session.rows(f"SELECT {_COLUMNS} FROM subjects WHERE {column} IN ({marks})", chunk)
    return rows


def _build(
    url_or_path: str | Path,
    keys: KeyProvider,
    journal: Path | None,
    now: Now,
    clock: Callable[[], float],
    cache_seconds: float,
    cache_size: int,
) -> Vault:
    database: Database
    if str(url_or_path).startswith(("postgres://", "postgresql://")):
        if journal is None:
            raise VaultError("a vault in PostgreSQL needs the path of a journal on this machine")
        try:
            from proventrail.privacy.vault.postgres import PostgresDatabase
        except ImportError:
            raise VaultError("a vault in PostgreSQL needs `pip install proventrail[postgres]`") from None
        database = PostgresDatabase(str(url_or_path))
    elif "://" in str(url_or_path):
        raise VaultError("the vault must be a path (SQLite) or a URL postgresql://…")
    else:
        path = Path(url_or_path)
        journal = journal or path.with_name(JOURNAL_FILE)
        database = SqliteDatabase(path)
    return Vault(database, keys, Journal(journal, now), clock=clock, cache_seconds=cache_seconds, cache_size=cache_size)


def open_vault(
    url_or_path: str | Path,
    keys: KeyProvider,
    *,
    journal: Path | None = None,
    now: Now = utc_now,
    clock: Callable[[], float] = _since_boot,
    cache_seconds: float = CACHE_SECONDS,
    cache_size: int = CACHE_SIZE,
) -> Vault:
    """Open the vault in a SQLite file, or at a URL `postgresql://…`; a new one is made where there is none.

    `journal`: its file, by default `journal.jsonl` beside a SQLite file; to be named for PostgreSQL. Raises VaultError
    if the vault is unreachable or damaged, its key is missing or wrong, or its journal and database disagree.
    """
    vault = _build(url_or_path, keys, journal, now, clock, cache_seconds, cache_size)
    try:
        vault.start()
    except BaseException:
        vault.close()
        raise
    return vault


def repair_vault(
    url_or_path: str | Path,
    keys: KeyProvider,
    tombstones: Iterable[Tombstone],
    *,
    journal: Path | None = None,
    now: Now = utc_now,
) -> int:
    """Erase again what the journal and `tombstones` name, in a database that was restored.

    Gives how many subjects that took away; the vault opens after it. Raises VaultError.
    """
    with _build(url_or_path, keys, journal, now, _since_boot, 0.0, 0) as vault:
        gone = vault.repair(tombstones)
        vault.start()
    return gone
