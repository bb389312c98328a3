"""Where personal data and secrets get into lineage: templates by kind and by place, around which a value is planted.

`{v}` is the planted value; of several one is chosen. `{…}` of `FILLERS` are clean.
"""

from __future__ import annotations

from benchmarks.privacy import values as v
from benchmarks.privacy.values import Make

MAKERS: dict[str, Make] = {
    "email": v.email,
    "phone": v.phone_international,
    "home-user": v.home_user,
    "git-author": v.person,
    "credit-card": v.card,
    "iban": v.bank_account,
    "crypto-address": v.wallet,
    "us-ssn": v.ssn,
    "us-itin": v.itin,
    "uk-nhs": v.nhs_number,
    "uk-nino": v.nino,
    "de-tax-id": v.de_tax,
    "de-id-card": v.de_card,
    "fr-nir": v.fr_nir,
    "es-dni": v.es_dni,
    "es-nie": v.es_nie,
    "it-codice-fiscale": v.it_cf,
    "nl-bsn": v.nl_bsn,
    "pl-pesel": v.pl_pesel,
    "be-national-number": v.be_number,
    "pt-nif": v.nif,
    "pt-cc": v.citizen_card,
    "se-personnummer": v.personnummer,
    "fi-hetu": v.fi_hetu,
    "in-aadhaar": v.aadhaar,
    "in-pan": v.in_pan,
    "au-tfn": v.au_tfn,
    "au-abn": v.au_abn,
    "au-medicare": v.medicare,
    "sg-nric": v.nric,
    "kr-rrn": v.kr_rrn,
    "ca-sin": v.ca_sin,
    "passport": v.passport,
    "driver-licence": v.licence,
    "ip-public": v.ip_public,
    "ip-private": v.ip_private,
    "mac": v.mac,
    "us-dea": v.dea,
    "us-npi": v.npi,
    "date-of-birth": v.birth_date,
    "uri-password": v.url_password,
    "uri-secret": v.key,
    "aws-key": v.aws,
    "gcp-key": v.gcp,
    "azure-key": v.key,
    "github-token": v.github,
    "slack-token": v.slack,
    "stripe-key": v.stripe,
    "npm-token": v.npm,
    "pypi-token": v.pypi,
    "vendor-token": v.vendor,
    "jwt": v.jwt,
    "private-key": v.private_key,
    "auth-header": v.key,
    "password": v.password,
    "secret": v.key,
}

LABELS: dict[str, list[str]] = {
    "us-ssn": ["SSN", "ssn", "social security number", "customer_ssn"],
    "us-itin": ["ITIN", "itin", "taxpayer id"],
    "uk-nhs": ["NHS number", "nhs_no", "nhsNumber", "patient"],
    "uk-nino": ["NI number", "national insurance", "nino"],
    "de-tax-id": ["Steuer-ID", "steuer_id", "Steueridentifikationsnummer", "IdNr"],
    "de-id-card": ["Personalausweis", "Ausweisnummer", "ausweis_nr"],
    "fr-nir": ["NIR", "numéro de sécurité sociale", "nir"],
    "es-dni": ["DNI", "dni"],
    "es-nie": ["NIE", "nie"],
    "it-codice-fiscale": ["codice fiscale", "codice_fiscale", "CF"],
    "nl-bsn": ["BSN", "bsn", "burgerservicenummer"],
    "pl-pesel": ["PESEL", "pesel"],
    "be-national-number": ["rijksregisternummer", "INSZ", "numéro national"],
    "pt-nif": ["NIF", "nif", "contribuinte"],
    "pt-cc": ["cartão de cidadão", "citizen_card"],
    "se-personnummer": ["personnummer", "pnr", "personnr"],
    "fi-hetu": ["henkilötunnus", "hetu"],
    "in-aadhaar": ["Aadhaar", "aadhaar_no", "UIDAI"],
    "in-pan": ["PAN", "pan_number"],
    "au-tfn": ["TFN", "tfn", "tax file number"],
    "au-abn": ["ABN", "abn"],
    "au-medicare": ["Medicare", "medicare_number"],
    "sg-nric": ["NRIC", "nric"],
    "kr-rrn": ["RRN", "resident registration number"],
    "ca-sin": ["SIN", "sin", "social insurance number"],
    "us-dea": ["DEA", "dea_number", "DEA registration"],
    "us-npi": ["NPI", "npi"],
    "passport": ["passport", "passport_no", "passportNumber", "Reisepass"],
    "driver-licence": ["driver's license", "driving licence", "driver_license", "Führerschein"],
    "date-of-birth": ["date of birth", "dob", "birth_date", "dateOfBirth", "born", "geboren am", "née le"],
    "phone": ["phone", "mobile", "tel", "phone_number", "Telefon"],
    "credit-card": ["card", "card_number"],
    "iban": ["IBAN", "iban", "account"],
    "email": ["email", "contact", "user"],
    "ip-public": ["client", "remote_addr", "ip"],
    "ip-private": ["host", "client_ip"],
    "mac": ["mac", "hwaddr"],
    "crypto-address": ["wallet", "payout_address", "btc"],
}

LABELLED: list[tuple[str, str]] = [
    # place, template
    ("log", "{ts} ERROR [{job}] row rejected: {label}={v} violates not-null of column {column}"),
    ("log", "{ts} INFO task={job} run={uuid} {label}: {v} matched {count} rows in {table}"),
    (
        "error",
        "Value error at line {line}: could not convert {label} '{v}' to bigint\n\tat "
        "org.apache.spark.sql.Row.getLong(Row.scala:{line})",
    ),
    (
        "error",
        'IntegrityError: duplicate key value violates unique constraint "{column}_key" DETAIL: Key '
        "({label})=({v}) already exists.",
    ),
    ("json", '{{"row": {{"{label}": "{v}", "amount": {decimal}, "updated": "{ts}"}}, "schema": "{table}"}}'),
    ("json", '{{\\"sample\\": [{{\\"{label}\\": \\"{v}\\", \\"id\\": {count}}}]}}'),
    ("free", "Backfill of {table} asked by support, {label} {v}, see run {uuid}."),
    ("free", "{label} {v}"),
    ("env", "REPORT_FILTER={label}:{v}"),
    ("log", 'dbt run --vars \'{{"{label}": "{v}", "ds": "{date}"}}\' --target prod'),
]
"""For kinds that stand beside a word."""

SQL: list[str] = [
    "SELECT id, amount FROM {table} WHERE {column_name} = '{v}' AND dt = '{date}'",
    "INSERT INTO {table} (id, {column_name}, created_at) VALUES ({count}, '{v}', '{ts}')",
    "UPDATE {table} SET {column_name} = '{v}' WHERE id = {count}",
    "DELETE FROM {table} WHERE {column_name} IN ('{v}', '{v2}') -- {uuid}",
    "MERGE INTO {table} t USING (SELECT '{v}' AS {column_name}) s ON t.id = s.id WHEN MATCHED THEN "
    "UPDATE SET amount = {decimal}",
    "CREATE TABLE {table}_copy AS SELECT * FROM {table} WHERE lower({column_name}) = lower('{v}')",
]

BARE: list[tuple[str, str]] = [
    ("log", "{ts} WARN [{job}] skipped {v} in partition dt={date}"),
    ("error", "ValueError: unexpected value '{v}' in {table}"),
    ("json", '{{"sample": ["{v}", {count}, "{date}"]}}'),
    ("free", "Rerun for {v} (run {uuid})"),
    ("sql-comment", "SELECT 1 /* {v} asked for this */ FROM {table}"),
]
"""For kinds that are told by their form alone."""

ALONE = (
    "email credit-card iban crypto-address us-ssn us-itin uk-nino fr-nir es-dni es-nie it-codice-fiscale "
    "pt-cc in-pan sg-nric kr-rrn ip-public "
    "ip-private mac phone"
).split()

OWN: dict[str, list[tuple[str, str]]] = {
    "home-user": [
        ("error", "FileNotFoundError: [Errno 2] No such file or directory: '/home/{v}/projects/{job}/config.yml'"),
        ("error", 'File "/Users/{v}/src/etl/{job}.py", line {line}, in main'),
        ("error", "java.io.IOException: cannot open C:\\Users\\{v}\\AppData\\Local\\Temp\\{job}.log"),
        ("json", '{{"path": "C:\\\\Users\\\\{v}\\\\data\\\\orders.csv"}}'),
        ("location", "file:///home/{v}/data/{table}.parquet"),
        ("env", "HOME=/home/{v}"),
        ("log", "{ts} INFO loading /Users/{v}/.dbt/profiles.yml"),
        ("log", "DBT_PROFILES_DIR=/mnt/home/{v}/.dbt"),
    ],
    "git-author": [
        ("git", "commit {sha}\nAuthor: {v} <{mail}>\nDate:   Mon Nov 23 10:00:00 2026 +0100\n\n    fix {job}"),
        ("git", "fix {job} ({sha})\n\nCo-authored-by: {v} <{mail}>"),
        ("git", "Signed-off-by: {v} <{mail}>"),
        ("json", '{{"lastCommit": "{sha}", "by": "{v} <{mail}>"}}'),
        ("env", "GIT_AUTHOR_NAME={v}"),
    ],
    "phone": [
        ("national", "{ts} INFO call me at {n} about {job}"),
        ("national", "phone: {n}, table {table}"),
        ("national", '{{"mobile": "{n}", "id": {count}}}'),
        ("national", "customer tel. {n} complained"),
        ("national", "phone_number={n} rejected by {job}"),
    ],
    "uri-password": [
        ("uri", "postgresql://svc_etl:{v}@db1.prod.internal:5432/shop"),
        ("uri", "jdbc:mysql://etl:{v}@mysql.acme.io:3306/orders?useSSL=true"),
        (
            "error",
            "OperationalError: could not connect to postgres://app:{v}@db1:5432/shop?sslmode=require after {count} ms",
        ),
        ("env", "AIRFLOW_CONN_WAREHOUSE=snowflake://loader:{v}@acme-eu1/ANALYTICS/PUBLIC?warehouse=WH"),
        ("json", '{{"uri": "mongodb+srv://admin:{v}@cluster0.abcd.mongodb.net/shop"}}'),
        ("log", "{ts} DEBUG broker amqp://guest2:{v}@rabbit:5672/vhost connected"),
        ("uri", "redis://:{v}@cache.internal:6379/0"),
        ("json", '{{"datasource": "clickhouse:\\/\\/default:{v}@ch1:8123\\/default"}}'),
        ("git", "remote: https://deploy:{v}@git.acme.io/data/{job}.git"),
    ],
    "uri-secret": [
        ("uri", "jdbc:sqlserver://db1:1433;databaseName=shop;user=sa;password={v};encrypt=true"),
        ("uri", "https://acme.blob.core.windows.net/raw/{table}.csv?sv=2024-11-04&sig={v}&se=2026-12-01"),
        ("uri", "jdbc:postgresql://db1/shop?user=etl&password={v}"),
        ("error", "HTTP 403 for https://api.acme.io/v1/export?table={table}&api_key={v}"),
        ("log", "{ts} GET https://bucket.s3.amazonaws.com/k.csv?X-Amz-Date=20261124T000000Z&X-Amz-Signature={v} 200"),
        ("uri", "https://hooks.acme.io/in?access_token={v}&job={job}"),
    ],
    "azure-key": [
        ("uri", "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={v};EndpointSuffix=core.windows.net"),
        ("env", "AZURE_STORAGE_CONNECTION_STRING=DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={v}"),
    ],
    "auth-header": [
        ("log", "curl -H 'Authorization: Bearer {v}' https://api.acme.io"),
        ("json", '{{"headers": {{"Authorization": "Bearer {v}"}}}}'),
        ("error", "401 for header authorization: bearer {v}"),
        ("log", "Authorization: Token {v}"),
    ],
    "password": [
        ("env", "PGPASSWORD={v}"),
        ("env", "SNOWFLAKE_PASSWORD={v}"),
        ("json", '{{"user": "etl", "password": "{v}"}}'),
        ("log", "connecting as etl with password={v}"),
        ("error", "ORA-01017 user etl, pwd: {v}"),
        ("sql", "CREATE USER etl IDENTIFIED BY '{v}'"),
        ("log", "run.sh --password {v} --table {table}"),
        ("json", '{{\\"db_password\\": \\"{v}\\"}}'),
    ],
    "secret": [
        ("env", "API_KEY={v}"),
        ("json", '{{"client_secret": "{v}", "tenant": "acme"}}'),
        ("log", "using token={v} for {job}"),
        ("env", "export SECRET_KEY='{v}'"),
        ("log", "api-key: {v}"),
        ("json", '{{"accessToken": "{v}"}}'),
    ],
    "date-of-birth": [
        ("free", "patient born on {v} in {table}"),
        ("json", '{{"birthdate": "{v}", "updated_at": "{ts}"}}'),
    ],
}

TOKENS: list[tuple[str, str]] = [
    ("log", "{ts} ERROR [{job}] upload failed with {v}"),
    ("env", "DEPLOY_CREDS={v}"),
    ("json", '{{"parameters": {{"x": "{v}", "n": {count}}}}}'),
    ("error", "RuntimeError: rejected credentials {v} at line {line}"),
    ("sql-comment", "SELECT 1 -- {v}"),
    ("git", "remove {v} from {job} ({sha})"),
]
TOKEN_KINDS = (
    "aws-key gcp-key github-token slack-token stripe-key npm-token pypi-token vendor-token jwt private-key".split()
)
