"""What can go wrong with the parts that run on this machine. Each message says what to do."""


class EmbeddedError(Exception):
    """Root of the errors of `proventrail.embedded`; the CLI prints it as one line."""


class BrokerError(EmbeddedError):
    """The embedded broker cannot be fetched, started or reached."""


class SupervisorError(EmbeddedError):
    """The supervised processes are described wrongly, or another supervisor runs on the data folder."""
