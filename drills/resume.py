"""Results of scenarios that ended as they should, kept for the commit that they were played at.

They lie in the cluster's cache, which outlives the checkout, so that a long run may take more than one sitting. What
was played at another commit or another rate counts for nothing, and is deleted; only pages may change meanwhile.
"""

from __future__ import annotations

import gzip
import hashlib
import pickle
import shutil
from pathlib import Path

from cluster import paths
from drills.fixtures import local_cluster
from drills.load import traffic
from drills.report.result import ScenarioResult

FOLDER = paths.CACHE / "drills"


def keep(result: ScenarioResult, took: float) -> None:
    """Keep the result of a scenario that took so many seconds."""
    folder = _folder()
    for other in FOLDER.glob("*"):
        if other != folder:
            shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    half = folder / f"{result.name}.half"
    half.write_bytes(gzip.compress(pickle.dumps((result, took))))
    half.rename(folder / result.name)


def kept(name: str) -> tuple[ScenarioResult, float] | None:
    """The result that a scenario has at this commit and rate, and its seconds; None where it has to be played."""
    try:
        found: tuple[ScenarioResult, float] = pickle.loads(gzip.decompress((_folder() / name).read_bytes()))  # nosec B301  # noqa: S301  # written by keep
    except FileNotFoundError:
        return None
    return found


def _folder() -> Path:
    return FOLDER / f"{code()}-{traffic.usual_rate()}"


def code() -> str:
    """What names everything in HEAD but its pages."""
    entries = local_cluster.output(["git", "ls-tree", "HEAD"]).splitlines()
    played = [each for each in entries if not each.endswith(("\tdocs", ".md"))]
    return hashlib.sha256("\n".join(played).encode()).hexdigest()[:12]
