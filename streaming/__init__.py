"""What the stages have in common when they work off Kafka topics in batches."""
