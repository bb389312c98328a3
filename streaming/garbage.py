"""Python's cyclic garbage collector, told what a stage is like."""

from __future__ import annotations

import gc


def spare_the_collector() -> None:
    """Let cyclic garbage collection look less often, and not at the modules. For processes that run one stage.

    A batch makes many objects, none of them in a cycle; the collector would go through them and through everything
    else again and again. Measured with batches of 500 events with facets: parsing takes 12 us an event, 22 us without;
    it was an eighth of the CPU time of refine.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
