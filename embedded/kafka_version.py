"""The one place that says which Apache Kafka: for the embedded broker, its lock file and the container image."""

KAFKA_VERSION = "4.4.0"
"""A test holds kafka.lock and docker-compose.yml to it."""

SCALA_VERSION = "2.13"
"""Kafka's jars carry the Scala version in their name."""

SLF4J_VERSION = "1.7.36"
"""As Kafka's own slf4j-api; without a binding of that version Kafka says nothing, not even why it ends."""
