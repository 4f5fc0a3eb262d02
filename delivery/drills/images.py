"""The images that drills release: good ones, and good ones with a layer that breaks them.

The product knows no fault switch. A faulty image has one changed file, mostly the module that gunicorn loads, with code
at its end that breaks something inside Django, where middlewares and metrics see it; health endpoints stay fine unless
they are what is broken.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx

from cluster import images as builder
from cluster import paths
from delivery import sbom
from delivery.drills import local, scan
from delivery.errors import Refused
from delivery.registry import Reference, bundles

# The content of an image: everything that its Containerfile may copy.
CONTENT = ("app", "requirements/app.txt")
CONTAINERFILE = "app/Containerfile"
FAULTY_MODULE = "app/config/wsgi.py"
_CELERY_MODULE = "app/config/celery.py"
_NEW_MIGRATION = "app/crm/deals/migrations/0003_broken_by_a_drill.py"
_FAULTS = Path(__file__).parent / "faults"


@dataclass(frozen=True)
class Recipe:
    """What an image is made of besides the checkout's HEAD: its version, and the code that breaks it."""

    version: str
    fault: str = ""
    module: str = FAULTY_MODULE
    """The file that ends with the fault's code; it may be new."""
    scanned: tuple[str, ...] | None = ()
    """The severities that its signed scan result tells of; None where nobody scanned it."""
    listed: bool = True
    """Whether a signed list of what is in it (SBOM) is attached when it is made."""


@dataclass(frozen=True)
class Image:
    """An image in the local registry."""

    version: str
    digest: str
    revision: str

    @property
    def reference(self) -> str:
        return f"{local.REPOSITORY}@{self.digest}"


def good(version: str) -> Recipe:
    """The CRM as it is at HEAD, under that version."""
    return Recipe(version)


def errors(*, share: float = 1.0, version: str = "1.2") -> Recipe:
    """A CRM whose API answers a share of its requests with 500."""
    return Recipe(version, _fault("errors", share=share))


def slow(*, seconds: float = 3.0, share: float = 1.0, version: str = "1.3") -> Recipe:
    """A CRM whose API sleeps for so many seconds in a share of its requests."""
    return Recipe(version, _fault("slow", share=share, seconds=seconds))


def bursts(*, seconds: float = 4.0, every: float = 20.0, version: str = "1.20") -> Recipe:
    """A CRM whose API answers nothing but 500 for some seconds of every so many."""
    return Recipe(version, _fault("bursts", seconds=seconds, every=every))


def stray_error(*, version: str = "1.26") -> Recipe:
    """A CRM whose API answers one single request with 500, and all others well."""
    return Recipe(version, _fault("stray"))


def crash_loop(*, version: str = "1.21") -> Recipe:
    """A CRM whose web process ends while it starts."""
    return Recipe(version, _fault("crash"))


def never_ready(*, version: str = "1.22") -> Recipe:
    """A CRM whose web pods live and are never ready."""
    return Recipe(version, _fault("unready", after=0.0))


def sick(*, seconds: float = 25.0, version: str = "1.30") -> Recipe:
    """A CRM whose web pods become ready, and are not any more so many seconds after their start."""
    return Recipe(version, _fault("unready", after=seconds))


def hoarding(*, seconds: float = 0.5, every: float = 0.6, version: str = "1.31") -> Recipe:
    """A CRM whose requests wait for a connection to the database most of the time, and answer well."""
    return Recipe(version, _fault("hoard", seconds=seconds, every=every))


def lost_wins(*, version: str = "1.32") -> Recipe:
    """A CRM that does not record that a deal was won."""
    return Recipe(version, _fault("lost_wins"))


def lost_writes(*, version: str = "1.23") -> Recipe:
    """A CRM whose API answers well and keeps nothing of what it is given."""
    return Recipe(version, _fault("lost_writes"))


def failing_tasks(*, version: str = "1.24") -> Recipe:
    """A CRM whose worker fails every task, while its web pods are well."""
    return Recipe(version, _fault("tasks"), _CELERY_MODULE)


def bad_migration(*, version: str = "1.25") -> Recipe:
    """A CRM with a migration that the database refuses."""
    return Recipe(version, (_FAULTS / "migration.py").read_text(encoding="utf-8"), _NEW_MIGRATION)


def vulnerable(*, version: str = "1.28") -> Recipe:
    """A good CRM whose signed scan result tells of a critical vulnerability."""
    return Recipe(version, scanned=("CRITICAL", "LOW"))


def unscanned(*, version: str = "1.29") -> Recipe:
    """A good CRM that nobody has scanned."""
    return Recipe(version, scanned=None)


def missing(*, version: str = "1.27") -> Image:
    """An image that the registry does not have."""
    return Image(version, f"sha256:{hashlib.sha256(version.encode()).hexdigest()}", head())


def unlisted(*, version: str) -> Recipe:
    """A good CRM of which nobody has signed what is in it."""
    return Recipe(version, listed=False)


def _fault(kind: str, **settings: float) -> str:
    code = (_FAULTS / f"{kind}.py").read_text(encoding="utf-8")
    arguments = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    return f"\n\n{code}\n\nbreak_it({arguments})\n"


def head() -> str:
    """The commit of the checkout's HEAD."""
    return local.output(["git", "rev-parse", "HEAD"]).strip()


@cache
def image(recipe: Recipe) -> Image:
    """The image of a recipe, built and pushed unless that was done before, with its signed scan result.

    Its revision label is the checkout's HEAD, and its content is what HEAD holds: uncommitted changes are not in it.
    """
    revision = head()
    content = _content(revision)
    name = f"{content}-{_hash(recipe.version, recipe.fault, recipe.module, revision)}"
    if not builder.has_image(name):
        _finish(content, name, recipe, revision)
    made = Image(recipe.version, builder.push(name, "crm"), revision)
    if recipe.scanned is not None:
        result = scan.statement(made.digest, recipe.scanned)
        scan.attach(local.REPOSITORY, made.digest, scan.signed(result, scan.private_key()))
    if recipe.listed:
        _list_once(made)
    return made


def _list_once(made: Image) -> None:
    """Bundles add up, and Kyverno reads each of them whenever a pod starts."""
    key = scan.private_key()
    try:
        lists = bundles(Reference.parse(made.reference), sbom.PREDICATE)
        sbom.packages(lists, digest=made.digest, key=key.public_key())
    except Refused:
        envelope = scan.signed(scan.listing(made.digest, "crm", "python", "django"), key)
        scan.attach_bundle(local.REPOSITORY, made.digest, envelope, sbom.PREDICATE)


def content_key(listing: str, base: str) -> str:
    """What the content of an image depends on: `git ls-tree` of it, and the base image's name."""
    return _hash(listing, base)


def _content(revision: str) -> str:
    """The CRM's image from its Containerfile, without a version; named by its content, so it is rarely built anew."""
    base = builder.base_image()
    name = (
        f"localhost/crm:{content_key(local.output(['git', 'ls-tree', '-r', revision, '--', *CONTENT]), base)}"
    )
    if not builder.has_image(name):
        with tempfile.TemporaryDirectory(prefix="crm-image-") as scratch:
            unpack(revision, CONTENT, Path(scratch))
            builder.buildah(
                "bud",
                *builder.build_options(),
                builder.host_certificates(),
                f"--build-arg=BASE={base}",
                f"--file={Path(scratch) / CONTAINERFILE}",
                f"--tag={name}",
                scratch,
                log="crm-image",
            )
        _forget_images_except(name)
    return name


def _forget_images_except(content: str) -> None:
    """Drop the images of earlier contents, which would fill the disk one commit after the other."""
    listed = builder.buildah_output(
        "images", "--format={{.Name}}:{{.Tag}}", "--filter=reference=localhost/crm"
    )
    outdated = [name for name in listed.split() if not name.startswith(content)]
    if outdated:
        builder.buildah("rmi", "--force", *outdated, log="crm-image")


def unpack(revision: str, files: Iterable[str], folder: Path) -> None:
    """Write these files as a commit has them, by `tar`: the `tarfile` of Debian 12's Python has no filter yet."""
    archive = folder / "content.tar"
    local.output(["git", "archive", f"--output={archive}", revision, "--", *files])
    local.output(["tar", "--extract", f"--file={archive}", f"--directory={folder}"])
    archive.unlink()


def _finish(content: str, name: str, recipe: Recipe, revision: str) -> None:
    """Give an image its version and revision as the Containerfile's build arguments would, and the fault."""
    container = builder.buildah_output("from", "--pull-never", content).strip()
    try:
        if recipe.fault:
            module = _text(revision, recipe.module)
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".py") as changed:
                changed.write(module + recipe.fault)
                changed.flush()
                builder.buildah(
                    "copy", "--quiet", "--chmod=0644", container, changed.name, f"/{recipe.module}"
                )
            # The image's bytecode is used without a look at its source, so it is compiled anew.
            compile_it = ("python", "-m", "compileall", "-qf", "--invalidation-mode=unchecked-hash")
            as_root = ("--isolation=chroot", "--network=host", "--user=0")
            builder.buildah(
                "run", *as_root, container, "--", *compile_it, f"/{recipe.module}", log="crm-image"
            )
        builder.buildah(
            "config",
            f"--env=VERSION={recipe.version}",
            f"--env=REVISION={revision}",
            f"--label=org.opencontainers.image.version={recipe.version}",
            f"--label=org.opencontainers.image.revision={revision}",
            container,
        )
        builder.buildah("commit", "--quiet", container, name)
    finally:
        builder.buildah("rm", container)


def _text(revision: str, file: str) -> str:
    """A file's text at a commit, empty if there is no such file."""
    listed = local.output(["git", "ls-tree", revision, "--", file])
    return local.output(["git", "show", f"{revision}:{file}"]) if listed else ""


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def deleted(image: Image) -> None:
    """Take an image away from the registry and from the node, as a registry's retention does after a while."""
    httpx.delete(
        f"http://{local.REPOSITORY.replace('/', '/v2/', 1)}/manifests/{image.digest}"
    ).raise_for_status()
    ctr = ("ctr", "--address", paths.CONTAINERD_SOCKET, "--namespace", "k8s.io", "images", "remove")
    local.output([*ctr, image.reference])
