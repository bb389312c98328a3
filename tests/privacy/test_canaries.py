"""Nothing leaks sideways: canaries in every field of every event, and afterwards in no file, topic, table, log, answer.

What may hold them, and is left out: the segments of the raw topics `lineage.events` and `openlineage` (short retention,
their own ACL), and an emitter's spool while the broker is away (0600; docs/emit.md gives the reason). Two kinds of
place get no canary: `eventTime`, which must parse, and `canaries.COUNTS`, numbers that the shipped policy keeps.
"""

from __future__ import annotations

import base64
import gzip
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proventrail.cli.privacy_step import anonymiser, policy_of
from proventrail.embedded.broker import free_port
from proventrail.privacy.policy.policy import read_policy
from proventrail.privacy.spans import KINDS as CLAIMED
from proventrail.privacy.vault import FileKeys, Vault, open_vault
from proventrail.producers import Emitter
from proventrail.schemas import avro
from proventrail.schemas.openlineage import from_openlineage
from proventrail.schemas.topics import RAW_TOPICS
from proventrail.stream_processors.catalog import Catalog
from proventrail.stream_processors.refine import Refine, Refined
from tests.cli.conftest import Up
from tests.schemas.corpus import corpus_files
from tests.stream_processors.test_anonymise import corpus, raw

from .canaries import KINDS, Grep, Json, Kind, Planter
from .road import Road, regular_files

# Every table of every database, all columns, as the engine writes them; tables of `system` that have no end are cut.
_DUMP = """
import sys
from pathlib import Path
from proventrail.storage.engine import Engine
engine = Engine(Path(sys.argv[1]))
client = engine.client()
with open(sys.argv[2], "wb") as out:
    tables = client.query("SELECT database, name FROM system.tables WHERE NOT is_temporary ORDER BY ALL").result_rows
    for database, name in tables:
        cut = " LIMIT 100000" if database == "system" else ""
        try:
            text = client.raw_query(f"SELECT * FROM `{database}`.`{name}`{cut}", fmt="TSVRaw")
        except Exception as error:
            assert database in ("system", "INFORMATION_SCHEMA", "information_schema"), (database, name, error)
            continue
        out.write(f"\\x00table {database}.{name}\\x00".encode() + text)
print(len(tables))
"""


_ZSTD, _LZ4 = b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"


def _content(path: Path) -> bytes:
    """What a file says. Tables and topics are read by their own programs; nothing else may be compressed unseen."""
    data = path.read_bytes()
    assert data[:4] not in (_ZSTD, _LZ4), f"{path} is compressed: decompress it here"
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


@pytest.fixture(scope="module")
def events(shared_dir: Path) -> list[Json]:
    """Every event that is taken, and every facet of the specification's tests in an event of its own."""
    around = [file for file in corpus_files(shared_dir / "openlineage") if file.what.startswith(("facet", "template"))]
    return [*corpus(shared_dir), *(told for file in around for told in file.events)]


@pytest.fixture(scope="module", params=["quick", pytest.param("faulty", marks=pytest.mark.faults)])
def road(
    request: pytest.FixtureRequest, events: list[Json], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Road]:
    """Everything happens here, once; the tests look at what is left of it. The pipeline still runs.

    `faulty`: refine is killed, and its vault is away for a while, which takes a minute more.
    """
    faulty = request.param == "faulty"
    folder = tmp_path_factory.mktemp("road")
    port = free_port()
    (folder / "tmp").mkdir()
    emitter = Emitter(f"127.0.0.1:{port}", source="https://example.org/x", actor="ann", spool_dir=folder / "spool")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder / "tmp"))
        planter = Planter()
        first = Road(None, planter, events)  # type: ignore[arg-type]
        first.spooled(emitter, folder / "spool")
        up = Up(folder / "data", "--kafka-port", str(port))
    road = Road(up, planter, events, spools=first.spools)
    try:
        emitter.flush(60)
        emitter.close()
        road.sent()
        road.refused()
        if faulty:
            road.refine_killed()
            road.vault_locked()
            road.vault_open_to_others()
        road.commands(tmp_path_factory.mktemp("typed"))
        road.told_by_stages()
        assert up.run("verify-delivery", "--wait").code == 0
        yield road
    finally:
        emitter.close()
        up.end()


@pytest.fixture(scope="module")
def grep(road: Road) -> Grep:
    return Grep(road.planter.planted)


def test_it_was_the_whole_road(road: Road) -> None:
    """Each kind was planted, each fault and each refusal took place: what follows is no accident."""
    kinds = {told.partition(" in ")[0] for told in road.planter.planted.values()}
    assert {kind.name for kind in KINDS} <= kinds
    assert len(road.planter.planted) > 20_000
    reasons = {row["reason"] for row in road.up.sql("SELECT DISTINCT reason FROM dead_letters")}
    assert {"malformed", "invalid", "undecodable", "oversize"} <= reasons, reasons
    [found] = road.up.sql("SELECT count() AS n, countIf(notEmpty(privacy.path)) AS changed FROM events")
    assert found["n"] > 300
    assert found["changed"] > 300
    if road.up.instance.children["refine"]["restarts"]:
        log = (road.up.data_dir / "logs" / "refine.log").read_text()
        assert "a batch could not be anonymised (the vault" in log
        assert "(mode 0644): run" in log


def test_the_spool_is_private_while_the_broker_is_away_and_empty_afterwards(road: Road, grep: Grep) -> None:
    folders = [mode for path, mode, _ in road.spools if Path(path).is_dir() or "." not in Path(path).name]
    assert folders
    for path, mode, _ in road.spools:
        assert mode in (0o700, 0o600), path
    assert any(list(grep(content, path)) for path, _, content in road.spools)


def test_no_answer_and_no_output_quotes_a_value(road: Road, grep: Grep) -> None:
    assert len(road.answers) > 80
    assert [leak for where, data in road.answers for leak in grep(data, where)] == []


def test_no_topic_but_the_raw_ones(road: Road, grep: Grep) -> None:
    found = road.topics(lambda name: name not in RAW_TOPICS)
    assert [leak for topic, data in found.items() for leak in grep(data, f"topic {topic}")] == []
    assert {"lineage.refined", "lineage.observations", "lineage.deadletter", "__consumer_offsets"} <= found.keys()


def test_the_raw_topics_hold_them(road: Road, grep: Grep) -> None:
    """So they went in, and would be seen elsewhere."""
    records = road.topics(lambda name: name in RAW_TOPICS)
    found = {leak.rpartition(": ")[0] for topic, data in records.items() for leak in grep(data, topic)}
    assert len(found) > 20_000


def test_other_peoples_queries_cannot_be_read(road: Road) -> None:
    for table in ("query_log", "processes", "query_thread_log", "text_log"):
        result = road.up.run("sql", f"SELECT * FROM system.{table}")
        assert result.code == 2, table


def test_no_file_and_no_table(road: Road, grep: Grep, tmp_path: Path) -> None:
    """Last: the pipeline ends here."""
    up = road.up
    pid = up.instance.children["kafka"]["pid"]
    java = [(f"file {path}", path.read_bytes()) for path in Path(tempfile.gettempdir()).glob(f"hsperfdata_*/{pid}")]
    assert up.interrupt() == 0
    dump = tmp_path / "dump"
    done = subprocess.run(
        [sys.executable, "-c", _DUMP, str(up.data_dir / "store"), str(dump)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for table in (b"proventrail.events", b"proventrail.dead_letters", b"proventrail.runs"):
        assert b"\0table " + table in dump.read_bytes()
    leaks = [
        leak
        for chunk in dump.read_bytes().split(b"\0table ")
        for leak in grep(chunk, f"table {chunk[:60].partition(bytes(1))[0].decode(errors='replace')}")
    ]
    looked_at = []
    for path in regular_files(up.data_dir.parent):
        relative = path.relative_to(up.data_dir.parent)
        if any(str(relative).startswith(f"data/kafka/log/{topic}-") for topic in RAW_TOPICS):
            continue
        looked_at.append(str(relative))
        leaks += grep(_content(path), f"file {relative}")
    leaks += [leak for where, data in java for leak in grep(data, where)]
    crashes = [*Path.cwd().glob("core*"), *Path.cwd().glob("hs_err_pid*")]
    leaks += [leak for path in crashes if path.is_file() for leak in grep(path.read_bytes(), f"file {path.name}")]
    assert leaks == []
    for part in ("data/logs/refine.log", "data/vault/vault.db", "data/vault/journal.jsonl", "data/kafka/log/lineage."):
        assert any(name.startswith(part) for name in looked_at), part


# -- every kind at every place, in one process -------------------------------------------------------------------------


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with open_vault(tmp_path / "vault.db", FileKeys(tmp_path / "key")) as vault:
        yield vault


def refined(events: list[Json], by: Refine) -> Refined:
    return by(raw([avro.encode("lineage_event", from_openlineage(told)) for told in events]))


def written(done: Refined) -> bytes:
    """All that refine would write."""
    pairs = [*done.dead_letters.values(), *done.observations]
    return b"\n".join([*done.values, *done.keys, *(part or b"" for pair in pairs for part in pair)])


@pytest.mark.parametrize("turn", range(len(KINDS)))
def test_no_kind_passes_at_any_place(events: list[Json], vault: Vault, turn: int) -> None:
    planter = Planter(turn=turn)
    done = refined([planter.event(told, "") for told in events], Refine(Catalog(), anonymiser(policy_of(None), vault)))
    assert len(done.rows) == len(events)
    assert [*Grep(planter.planted)(written(done), "refine")] == []


def test_it_fails_where_a_policy_keeps_everything(events: list[Json], vault: Vault, tmp_path: Path) -> None:
    path = tmp_path / "keep.yaml"
    path.write_text("version: 1\nname: keep\nkinds: {default: keep}\nrules: [{path: '**', transform: keep}]\n")
    policy = read_policy(path, {kind.name: kind.group for kind in CLAIMED.values()})
    planter = Planter()
    done = refined([planter.event(told, "") for told in events[:20]], Refine(Catalog(), anonymiser(policy, vault)))
    found = {leak.rpartition(": ")[0] for leak in Grep(planter.planted)(written(done), "refine")}
    assert found == set(planter.planted.values())


def _percent(text: str) -> bytes:
    return "".join(f"%{ord(char):02X}" for char in text).encode()


def _escaped(text: str) -> bytes:
    return "".join(f"\\u{ord(char):04x}" for char in text).encode()


@pytest.mark.parametrize(
    "written",
    [
        str.encode,
        lambda text: text.upper().encode(),
        _percent,
        _escaped,
        lambda text: text.encode().hex().encode(),
        lambda text: base64.b64encode(text.encode()),
        lambda text: base64.urlsafe_b64encode(b"x" + text.encode()),
        lambda text: base64.b64encode(b"xy" + text.encode()),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text[::-1].encode(),
        lambda text: text.encode("utf-16-le")[::-1],
    ],
)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_is_looked_for_is_found_in_every_form(kind: Kind, written: Callable[[str], bytes]) -> None:
    planter = Planter((kind,))
    text = planter.text("here")
    assert [*Grep(planter.planted)(b"before " + written(text) + b" after", "x")] != []
