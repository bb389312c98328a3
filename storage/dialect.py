"""One place that says `MergeTree` or `ReplicatedMergeTree`: migrations are written once for both kinds of engine.

Single node (embedded chDB, or one server): a table is just itself. Cluster: a table `t` is `t_local`, replicated on
every shard, and `t`, a Distributed table over them. All rows of one job live on one shard (sharding key
`cityHash64(job_namespace, job_name)`), so that aggregations by run never cross shards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHARDING_KEY = "cityHash64(job_namespace, job_name)"


@dataclass(frozen=True)
class Dialect:
    """How DDL is worded for one deployment. `cluster` is a name from the servers' `remote_servers`, or None."""

    database: str = "proventrail"
    cluster: str | None = None
    storage_policy: str | None = None

    @property
    def on_cluster(self) -> str:
        return f" ON CLUSTER '{self.cluster}'" if self.cluster else ""

    def local(self, table: str) -> str:
        """Qualified name of the table that holds the rows on this server."""
        return f"{self.database}.{table}_local" if self.cluster else f"{self.database}.{table}"

    def name(self, table: str) -> str:
        """Qualified name that queries use."""
        return f"{self.database}.{table}"

    def create_database(self) -> str:
        return f"CREATE DATABASE IF NOT EXISTS {self.database}{self.on_cluster}"

    def create_table(
        self,
        table: str,
        columns: str,
        order_by: str,
        *,
        engine: str = "MergeTree",
        partition_by: str = "",
        primary_key: str = "",
        settings: str = "",
        sharding_key: str = _SHARDING_KEY,
    ) -> list[str]:
        """DDL of one table: `columns` is the text between the parentheses, `engine` a MergeTree family name."""
        family = engine
        if self.cluster:
            path = f"'/clickhouse/tables/{{shard}}/{self.database}/{table}_local', '{{replica}}'"
            name, _, arguments = engine.partition("(")
            rest = arguments.rstrip(")")
            family = f"Replicated{name}({path}{', ' + rest if rest else ''})"
        options = [settings] if settings else []
        if self.storage_policy:
            options.append(f"storage_policy = '{self.storage_policy}'")
        clauses = [
            f"CREATE TABLE IF NOT EXISTS {self.local(table)}{self.on_cluster}\n({columns})\nENGINE = {family}",
            f"PARTITION BY {partition_by}" if partition_by else "",
            f"PRIMARY KEY {primary_key}" if primary_key else "",
            f"ORDER BY {order_by}",
            f"SETTINGS {', '.join(options)}" if options else "",
        ]
        statements = ["\n".join(clause for clause in clauses if clause)]
        if self.cluster:
            statements.append(
                f"CREATE TABLE IF NOT EXISTS {self.name(table)}{self.on_cluster} AS {self.local(table)}\n"
                f"ENGINE = Distributed('{self.cluster}', '{self.database}', '{table}_local', {sharding_key})"
            )
        return statements

    def add_columns(self, table: str, columns: list[str]) -> list[str]:
        """DDL that gives a table, and the Distributed one over it, more columns; each with name, type and codec."""
        added = ",\n".join(f"    ADD COLUMN IF NOT EXISTS {column}" for column in columns)
        tables = [self.local(table), self.name(table)] if self.cluster else [self.name(table)]
        plain = re.sub(r" CODEC\((?:[^()]|\([^()]*\))*\)", "", added)
        return [
            f"ALTER TABLE {name}{self.on_cluster}\n{added if name == self.local(table) else plain}" for name in tables
        ]

    def create_materialized_view(self, view: str, to_table: str, select: str) -> str:
        """A view that feeds `to_table` from each insert into the local table that `select` names."""
        return (
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {self.name(view)}{self.on_cluster}\n"
            f"TO {self.local(to_table)} AS\n{select}"
        )

    def create_view(self, view: str, select: str) -> str:
        return f"CREATE VIEW IF NOT EXISTS {self.name(view)}{self.on_cluster} AS\n{select}"
