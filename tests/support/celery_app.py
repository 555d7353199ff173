"""An application of Celery as a user writes one; what it is told stands in the environment."""

from __future__ import annotations

import json
import os
from functools import partial

from celery import Celery

from oauth_mailer.integrations.celery import OutboxTasks
from oauth_mailer.outbox import Event, Outbox

VARIABLE = "TEST_CELERY"


def tell(event: Event) -> None:
    print(f"EVENT {event.state} {event.entry.id}", flush=True)  # noqa: T201 - for the test, by the worker's log


def make(
    broker: str, *, every: float = 60.0, lease: float = 60.0, batch: int = 1000, visibility: float = 3600.0
) -> tuple[Celery, OutboxTasks]:
    """The application and its tasks.

    ``every``, ``batch``: of the sweeps; ``lease``: of the outbox; ``visibility``: seconds after which a task
    that was not acknowledged is given to another worker.
    """
    app = Celery("shop", broker=broker, set_as_current=False)
    app.conf.update(
        broker_transport_options={"visibility_timeout": visibility, "socket_timeout": 10},
        worker_prefetch_multiplier=1,
        worker_lost_wait=0.1,  # seconds in which the result of a process that was killed may still come
        worker_log_format="%(asctime)s %(process)d %(processName)s %(message)s",
        worker_task_log_format="%(asctime)s %(process)d %(processName)s %(message)s",
    )
    outbox = partial(Outbox, lease=lease)
    return app, OutboxTasks(app, outbox=outbox, every=every, batch=batch, on_event=tell)


if VARIABLE in os.environ:  # in a worker
    app, tasks = make(**json.loads(os.environ[VARIABLE]))
