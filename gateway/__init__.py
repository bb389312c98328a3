"""HTTP in: OpenLineage events are checked, mapped and acknowledged once Kafka has them."""

from proventrail.gateway.auth import ensure_token
from proventrail.gateway.client_config import client_configuration
from proventrail.gateway.server import GatewayError, GatewayServer
from proventrail.gateway.settings import GatewaySettings
from proventrail.gateway.workers import run_gateway

__all__ = ["GatewayError", "GatewayServer", "GatewaySettings", "client_configuration", "ensure_token", "run_gateway"]
