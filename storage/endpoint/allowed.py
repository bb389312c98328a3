"""What an auditor's query may name: allow-lists, so that what a later engine adds is refused until it was looked at."""

from __future__ import annotations

import re

STATEMENTS = frozenset(
    "SelectWithUnionQuery SelectIntersectExceptQuery SelectQuery DescribeQuery Explain ShowTables ShowColumns "
    "ShowIndexes ShowFunctions ShowEngineQuery ShowSetting ShowCreateTableQuery ShowCreateViewQuery "
    "ShowCreateDatabaseQuery ExistsTableQuery ExistsViewQuery ExistsDatabaseQuery".split()
)
"""First nodes of `EXPLAIN AST`."""

EXPLANATIONS = frozenset(
    ("EXPLAIN", "EXPLAIN AST", "EXPLAIN SYNTAX", "EXPLAIN QUERY TREE", "EXPLAIN PIPELINE", "EXPLAIN ESTIMATE")
)

SHOWN = frozenset(
    "TABLES FULL DATABASES COLUMNS EXTENDED INDEXES FUNCTIONS ENGINES SETTING SETTINGS CHANGED CREATE".split()
)
"""The word after SHOW, as the engine writes it. Others name queries, users, caches and clusters."""

TABLE_FUNCTIONS = frozenset(
    "numbers numbers_mt zeros zeros_mt generate_series generateseries generaterandom values view null primes format "
    "sqlstandardvalues".split()
)
"""Table functions that reach nothing outside the store, in small letters. `merge` takes patterns of names."""

FUNCTIONS_REFUSED = re.compile(
    r"file|filesystem\w+|url|dict\w+|joinGet\w*|hasColumnInTable|region\w+|catboost\w*|ai[A-Z]\w*|eval|executable\w*|"
    r"get(Macro|ServerPort|ServerSetting|ClientHTTPHeader|OSKernelVersion)|sleep\w*|logTrace|showCertificate|tcpPort|"
    r"current(RequestURL|Handler)|generateSerialID|zookeeper\w+|naiveBayes\w+|addressTo\w+|stem|lemmatize|synonyms|"
    r"reverseDNSQuery|chdb",
    re.IGNORECASE,
)
"""Functions that read files, dictionaries, tables named by a string, the network, the server, or hold a session."""

SYSTEM_TABLES = frozenset(
    "one numbers numbers_mt zeros zeros_mt primes databases tables columns parts functions table_functions "
    "table_engines data_type_families data_skipping_indices data_skipping_index_types database_engines projections "
    "settings merge_tree_settings formats codecs time_zones collations keywords licenses contributors documentation "
    "aggregate_function_combinators".split()
)
"""Tables of `system` that tell what there is. The others tell of files, servers, users and other people's queries."""

WITH_PATHS = frozenset(("system.databases", "system.tables", "system.parts"))
"""Of these, the columns of PATHS are refused, and so is `*`."""

PATHS = frozenset(("path", "data_path", "data_paths", "metadata_path"))

SETTINGS = re.compile(
    r"(?!format_(schema|template|avro_schema_registry|display_secrets)|output_format_(schema|avro_confluent)|"
    r"input_format_record_errors)"
    r"(output_format_\w+|input_format_\w+|format_\w+|date_time_\w+|session_timezone|join_\w+|transform_null_in|"
    r"max_threads|max_block_size|max_result_rows|result_overflow_mode|extremes|final|"
    r"allow_experimental_(analyzer|correlated_subqueries|\w+_types?|window_functions|hash_functions)|"
    r"enable_analyzer|use_client_time_zone|"
    r"aggregate_functions_null_for_empty|any_join_distinct_right_table_keys|prefer_column_name_to_alias|"
    r"union_default_mode|group_by_use_nulls|cast_\w+|asterisk_include_\w+|count_distinct_implementation|optimize_\w+)"
)
"""Settings of how a result looks or is computed. Those left out first name files or servers or show secrets."""
