"""What `up` will cost on this machine: said before it begins, and the measure of the bar over it."""

from __future__ import annotations

import os

from cluster import go_tools, image_builder, node, packages, platform
from cluster.progress import about

LATER = node.START + node.READY + platform.SECONDS
"""Seconds until the cluster is Ready where everything has been built."""


def seconds() -> float:
    """About how long `up` takes: what is missing here, then the start of what does not run."""
    made = image_builder.expected()
    built = sum(go_tools.expected(group, tools) for group, tools in go_tools.missing())
    started = node.expected(new_images=made > 0) + platform.SECONDS
    return packages.expected() + go_tools.wheels_expected() + built + made + started


def sentence(takes: float, then: float) -> str:
    """What has to be built and fetched first, and how long all `takes`, in seconds; `then`: of what is always done."""
    lacking = go_tools.missing()
    work = []
    if lacking:
        largest = sorted(lacking, key=lambda each: go_tools.expected(*each), reverse=True)
        work.append(f"builds {', '.join(go_tools.described(*each) for each in largest)} from source")
    if fetched := packages.missing():
        work.append(f"installs {len(fetched)} Debian packages")
    if not work:
        return f"This takes {about(takes)}."
    first = sum(len(tools) for _, tools in lacking) == len(go_tools.ALL)
    return (
        f"{'First run' if first else 'Not all is in the cache'}: {' and '.join(work)}, {about(takes)} on "
        f"{os.cpu_count()} cores. Later runs take {about(LATER + then)}."
    )
