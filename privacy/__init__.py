"""Personal data and secrets: where they are, and how they are kept out of the audit log."""
