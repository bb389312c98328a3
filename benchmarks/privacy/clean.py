"""Clean lineage strings: names, ids, times and numbers that look like personal data and are none."""

from __future__ import annotations

import base64
import hashlib
from random import Random
from uuid import UUID

from benchmarks.privacy.values import chars, digits, pick

HEX = "0123456789abcdef"
WORDS = "orders customers payments features churn events sessions clicks stock returns ledger invoices shipments "
"users emails phones".split()
LAYERS = "raw staging mart bronze silver gold core analytics dwh".split()


def uuid(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=4))


def table(random: Random) -> str:
    return f"{pick(random, LAYERS)}.{pick(random, WORDS)}_{pick(random, WORDS)}"


def date(random: Random) -> str:
    return f"{random.randint(2015, 2027)}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}"


def timestamp(random: Random) -> str:
    return (
        f"{date(random)}T{random.randint(0, 23):02d}:{random.randint(0, 59):02d}:{random.randint(0, 59):02d}"
        + random.choice(["Z", f".{digits(random, 3)}Z", "+01:00", f".{digits(random, 6)}-07:00"])
    )


def job(random: Random) -> str:
    return random.choice(
        [
            f"{pick(random, LAYERS)}_{pick(random, WORDS)}_daily",
            f"{pick(random, WORDS)}.{pick(random, WORDS)}.build",
            f"{pick(random, WORDS)}_v{random.randint(1, 9)}",
            f"load-{pick(random, WORDS)}-{random.randint(1, 99)}",
        ]
    )


def sha(random: Random) -> str:
    return chars(random, HEX, random.choice([7, 8, 12, 40, 64]))


FILLERS = {
    "uuid": uuid,
    "table": table,
    "date": date,
    "ts": timestamp,
    "job": job,
    "sha": lambda random: chars(random, HEX, 40),
    "column": lambda random: pick(random, "amount total qty region sku"),
    "count": lambda random: str(random.randint(1, 9_999_999)),
    "decimal": lambda random: f"{random.uniform(0, 9999):.{random.randint(2, 8)}f}",
    "line": lambda random: str(random.randint(1, 999)),
}


def strings(random: Random) -> str:
    """One clean string of any sort."""
    ymd = date(random)
    compact = ymd.replace("-", "")
    epoch = random.randint(1_500_000_000, 1_800_000_000)
    version = ".".join(str(random.randint(0, 30)) for _ in range(random.choice([2, 3, 3, 4])))
    scheme = random.choice(["s3", "s3a", "gs", "hdfs", "abfss"])
    bucket = f"{scheme}://{random.choice(['acme-lake', 'raw@acme.dfs.core.windows.net', 'nn1:8020'])}"
    forms = (
        lambda: uuid(random),
        lambda: sha(random),
        lambda: f"sha256:{chars(random, HEX, 64)}",
        lambda: str(epoch),
        lambda: f"{epoch}{digits(random, 3)}",
        lambda: f"{epoch}{digits(random, 6)}",
        lambda: f"{epoch}{digits(random, 9)}",
        lambda: f"v{version}",
        lambda: f"version {version}",
        lambda: f"pyspark=={version}",
        lambda: f"acme/etl:{version}",
        lambda: f"left-pad@{version}",
        lambda: f"com.acme:etl-{version}.jar",
        lambda: table(random),
        lambda: job(random),
        lambda: f"{pick(random, WORDS)}_{ymd.replace('-', '_')}",
        lambda: f"{pick(random, WORDS)}_{compact}",
        lambda: (
            f"{bucket}/warehouse/{table(random)}/dt={ymd}/part-{digits(random, 5)}-{uuid(random)}.c000.snappy.parquet"
        ),
        lambda: f"dt={ymd}/hour={random.randint(0, 23):02d}",
        lambda: f"{bucket}/{pick(random, WORDS)}/{ymd.replace('-', '/')}/{epoch}.json",
        lambda: f"application_{epoch}{digits(random, 3)}_{random.randint(1, 9999):04d}",
        lambda: f"arn:aws:iam::{digits(random, 12)}:role/etl-{pick(random, WORDS)}",
        lambda: f"arn:aws:glue:eu-west-1:{digits(random, 12)}:table/{table(random).replace('.', '/')}",
        lambda: timestamp(random),
        lambda: f"{random.uniform(-1e6, 1e6):.6f}",
        lambda: f"lineage.events-{random.randint(0, 63)}@{random.randint(0, 10**12)}",
        lambda: f"offset {random.randint(0, 10**12)}",
        lambda: (
            f"partition={random.randint(0, 63)} offset={random.randint(10**6, 10**12)} lag={random.randint(0, 10**6)}"
        ),
        lambda: str(random.randint(-(2**63), 2**63 - 1)),
        lambda: base64.b64encode(random.randbytes(random.choice([16, 20, 32]))).decode(),
        lambda: hashlib.md5(random.randbytes(8)).hexdigest(),
        lambda: f"git@github.com:acme/{job(random)}.git",
        lambda: (
            f"{pick(random, WORDS)}-{digits(random, 1)}.{pick(random, 'kafka db spark')}.svc.cluster.local"
            f":{random.randint(1024, 65535)}"
        ),
        lambda: f"{pick(random, 'spark flink airflow')}@worker-{digits(random, 2)}:7077",
        lambda: (
            f"{ymd} {timestamp(random)[11:19]},{digits(random, 3)} INFO  [{job(random)}] wrote "
            f"{random.randint(1, 10**9)} rows to {table(random)} in {random.uniform(0, 99):.3f} s"
        ),
        lambda: (
            f"SELECT {pick(random, WORDS)}_id, count(*) FROM {table(random)} WHERE dt >= '{ymd}' AND "
            f"amount > {random.randint(1, 9999)}.{digits(random, 2)} GROUP BY 1"
        ),
        lambda: (
            f"INSERT INTO {table(random)} SELECT * FROM {table(random)} WHERE load_id = {random.randint(10**8, 10**10)}"
        ),
        lambda: f"/home/{pick(random, 'airflow jovyan runner ubuntu spark')}/dags/{job(random)}.py",
        lambda: f"at org.apache.spark.sql.Dataset$$anon$1.run(Dataset.scala:{random.randint(1, 4000)})",
        lambda: f"scheduled__{timestamp(random)}",
        lambda: f"manual__{timestamp(random)}",
        lambda: f"run-{compact}-{digits(random, 6)}-{chars(random, HEX, 7)}",
        lambda: f"job_{compact}{digits(random, 4)}_{digits(random, 4)}",
        lambda: f"postgres://{pick(random, 'db db1.prod.internal')}:5432",
        lambda: (
            f"https://github.com/acme/etl/blob/{chars(random, HEX, 40)}/dags/{job(random)}.py#L{random.randint(1, 300)}"
        ),
        lambda: f"model.{pick(random, WORDS)}.{table(random)}.{chars(random, HEX, 10)}",
        lambda: (
            f"{pick(random, WORDS)}:{random.randint(1, 99)}:{random.randint(1, 59):02d}:{random.randint(1, 59):02d}"
        ),
        lambda: f"max_tokens={random.randint(100, 9000)} temperature=0.{digits(random, 1)}",
        lambda: f"stage {digits(random, 2)}.0 (TID {random.randint(1, 99999)}) (executor {digits(random, 1)})",
        lambda: f"registry.acme.io/etl/{pick(random, WORDS)}@sha256:{chars(random, HEX, 64)}",
        lambda: f"rows={random.randint(10**8, 10**16)} bytes={random.randint(10**8, 10**16)}",
        lambda: f"snapshot_id={random.randint(10**17, 9 * 10**18)}",
        lambda: f"{random.randint(10**8, 10**11)}",
    )
    return random.choice(forms)()
