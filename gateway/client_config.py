"""Ready-to-paste configuration for OpenLineage clients."""

from __future__ import annotations

_TEMPLATE = """\
# Python, Airflow, dbt: environment
export OPENLINEAGE_URL={url}
export OPENLINEAGE_API_KEY={token}

# Python, Java, Spark, Flink: openlineage.yml
transport:
  type: http
  url: {url}
  endpoint: api/v1/lineage
  compression: gzip
  auth:
    type: api_key
    apiKey: {token}

# curl
curl -X POST {url}/api/v1/lineage -H 'Authorization: Bearer {token}' \\
  -H 'Content-Type: application/json' --data @event.json
"""


def client_configuration(url: str, token: str) -> str:
    """Environment, `openlineage.yml` and a curl line for the gateway at `url`. The text holds the token: show it to
    its owner only, never to a log."""
    return _TEMPLATE.format(url=url.rstrip("/"), token=token)
