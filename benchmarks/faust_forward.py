"""The Faust worker of the baseline: `python -m benchmarks.faust_forward SERVERS SOURCE TARGET`."""

from __future__ import annotations

import os
import sys

import faust


def main(servers: str, source: str, target: str) -> None:
    """Forward every event until the process is told to end."""
    app = faust.App(
        f"bench-{source}",
        broker=f"kafka://{servers}",
        web_enabled=False,
        value_serializer="raw",
        key_serializer="raw",
        datadir=os.environ["BENCH_SCRATCH"],
        consumer_auto_offset_reset="earliest",
    )
    arriving = app.topic(source, value_type=bytes, key_type=bytes)
    leaving = app.topic(target, value_type=bytes, key_type=bytes)

    @app.agent(arriving)
    async def forward(stream: faust.StreamT[bytes]) -> None:
        async for key, value in stream.items():
            await leaving.send(key=key, value=value)

    sys.argv = ["faust", "worker", "--without-web", "--loglevel", "error"]
    app.main()


if __name__ == "__main__":
    main(*sys.argv[1:4])
