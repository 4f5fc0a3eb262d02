"""Roles of the CRM run as they are in the image: by the entrypoint, with production's settings."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

APP = Path(__file__).resolve().parents[1]


class Role:
    """`with Role("http", {…}, log) as web:` starts a role and stops it by SIGTERM."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        programs = str(Path(sys.executable).parent)
        inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
        inherited["PATH"] = f"{programs}{os.pathsep}{inherited['PATH']}"
        self._arguments = [str(APP / "entrypoint"), name]
        self._environment = inherited | dict(environment)

    def __enter__(self) -> Self:
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                self._arguments, env=self._environment, stdout=output, stderr=output
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()

    def stop(self, seconds: float = 20) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def output(self) -> str:
        return self._log.read_text()

    def wait_until(self, happened: Callable[[], bool], *, seconds: float = 20) -> None:
        until = time.monotonic() + seconds
        while not happened():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < until, self.output()
            time.sleep(0.05)
