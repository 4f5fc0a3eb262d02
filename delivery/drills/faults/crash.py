# A drill's fault, appended to the module that gunicorn loads: the process ends while it starts.


def break_it() -> None:
    raise RuntimeError("a drill lets this process end while it starts")
