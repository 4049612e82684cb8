"""Python's garbage collector in a process that moves batches.

Batches are freed by their reference counts. The collector looks for cycles each time some hundred
objects more are alive than before, and so walks over every batch in work, and over all of the
program, for nothing: measured at a third of the API's time for a message.
"""

import gc

ALIVE_MORE = 100_000
"""Objects more than before until the collector looks: more than a full batch in work has, where
that is a request's or a journal's."""


def spare_batches(alive_more: int = ALIVE_MORE) -> None:
    """Tune the collector; call it once the process has started and stands idle.

    What is alive now (modules, models, routes) is left out of every later look. Cycles are still
    collected: rarely, and then among what came since.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(alive_more, 10, 10)
