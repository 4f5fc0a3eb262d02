# A drill's fault, appended to the module of the Celery application: every task fails. Web pods only queue tasks.
from typing import Any

from celery import current_app


def break_it() -> None:
    def run(task: Any, *_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError(f"a drill broke the task {task.name}")

    # The application's own class: a worker takes no notice of a changed celery.Task.
    current_app.Task.__call__ = run  # type: ignore[method-assign,assignment]
