# A drill's fault, appended to the module that gunicorn loads: a thread has all of the pool most of the time.
import threading
import time
from contextlib import ExitStack

from django.db import connections
from psycopg_pool import PoolTimeout
from rest_framework.request import Request
from rest_framework.views import APIView


def break_it(seconds: float, every: float) -> None:
    prepare, begun = APIView.initial, threading.Lock()

    def hoard() -> None:
        pool = connections["default"].pool  # type: ignore[attr-defined]
        while True:
            with ExitStack() as kept:
                try:
                    for _ in range(pool.max_size):
                        kept.enter_context(pool.connection(timeout=seconds))
                except PoolTimeout:
                    pass  # a request has one of them
                time.sleep(seconds)
            time.sleep(every - seconds)

    def initial(view: APIView, request: Request, *args: object, **kwargs: object) -> None:
        if begun.acquire(blocking=False):  # in the process that answers, not in the one that it is made from
            threading.Thread(target=hoard, daemon=True).start()
        prepare(view, request, *args, **kwargs)

    APIView.initial = initial  # type: ignore[method-assign,assignment]
