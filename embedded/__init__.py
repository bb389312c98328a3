"""What one machine needs to run everything: Apache Kafka as a child process, and the supervisor of all processes."""
