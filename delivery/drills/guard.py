"""The guard's image: made of the checkout's HEAD like the images that drills release (decision 0009)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cluster import addresses
from cluster import images as builder
from delivery.drills import images, local

CONTENT = ("delivery", "requirements/delivery.txt")
CONTAINERFILE = "delivery/Containerfile"
REPOSITORY = "delivery-guard"
# What delivery does not need to run; a change of it makes no new image.
_LEFT_OUT = ("/drills/", "/tests/")
# The base is large, and zstd packs it several times as fast as gzip.
_PACKED_QUICKLY = ("--compression-format=zstd", "--compression-level=1")


def image() -> str:
    """The guard's image in the local registry, by digest; built only if HEAD's delivery/ or its lock is a new one.

    Raises NotReady.
    """
    revision = images.head()
    listed = local.output(["git", "ls-tree", "-r", revision, "--", *CONTENT]).splitlines()
    content = [line for line in listed if not any(folder in line for folder in _LEFT_OUT)]
    # Git is in there already, in layers that the node has for its other images.
    base = builder.platform_image()
    name = f"localhost/{REPOSITORY}:{images.content_key(chr(10).join(content), base)}"
    if not builder.has_image(name):
        _build(name, revision, files=[line.split("\t", 1)[1] for line in content], base=base)
    return f"{addresses.REGISTRY}/{REPOSITORY}@{builder.push(name, REPOSITORY, *_PACKED_QUICKLY)}"


def _build(name: str, revision: str, *, files: list[str], base: str) -> None:
    with tempfile.TemporaryDirectory(prefix="guard-image-") as scratch:
        folder = Path(scratch)
        images.unpack(revision, files, folder)
        builder.buildah(
            "bud",
            *builder.build_options(),
            builder.host_certificates(),
            f"--build-arg=BASE={base}",
            f"--build-arg=REVISION={revision}",
            f"--file={folder / CONTAINERFILE}",
            f"--tag={name}",
            folder,
            log="guard-image",
        )
    listing = ("images", "--format={{.Name}}:{{.Tag}}", f"--filter=reference=localhost/{REPOSITORY}")
    outdated = [found for found in builder.buildah_output(*listing).split() if found != name]
    if outdated:
        builder.buildah("rmi", "--force", *outdated, log="guard-image")
