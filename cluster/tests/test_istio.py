"""The definitions are those of the real module, fetched with the pinned Go; kubectl and ctr are scripts."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cluster import addresses, go_tools, image_builder, istio, node, paths, platform, preflight
from cluster.errors import ClusterError
from cluster.platform import Manifest
from cluster.tests.programs import Programs

CACHE = paths.CACHE
"""Where Go is: read before the tests' own paths are set."""


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """What is installed, to be read and not changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", CACHE)
        return istio.manifests()


def find(documents: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [d for d in documents if (d["kind"], d["metadata"]["name"]) == (kind, name)]
    return found


def container(documents: list[Manifest], name: str) -> Manifest:
    (only,) = find(documents, "Deployment", name)["spec"]["template"]["spec"]["containers"]
    return dict(only)


def bootstrap(documents: list[Manifest]) -> Manifest:
    """What the gateway's Envoy starts with."""
    made: Manifest = yaml.safe_load(container(documents, "istio-ingressgateway")["args"][-1])
    return made


# --- what is installed ------------------------------------------------------------------------------------------


def test_everything_is_in_its_own_namespace_and_filled_in(manifests: list[Manifest]) -> None:
    placeless = {"CustomResourceDefinition", "Namespace", "ClusterRole", "ClusterRoleBinding"}
    own = [d for d in manifests if d["kind"] != "CustomResourceDefinition"]
    assert {d["metadata"].get("namespace") for d in own if d["kind"] not in placeless} == {istio.NAMESPACE}
    text = yaml.safe_dump_all(own)
    assert "$" not in text.replace("$(POD_IP)", "").replace("$(POD_NAME)", "")


def test_the_definitions_are_those_of_what_the_chart_renders(manifests: list[Manifest]) -> None:
    kinds = {d["spec"]["names"]["kind"] for d in manifests if d["kind"] == "CustomResourceDefinition"}
    assert {"Gateway", "VirtualService", "DestinationRule", "EnvoyFilter"} <= kinds


def test_what_runs_is_what_was_built(manifests: list[Manifest]) -> None:
    made = istio.all_images()
    used = {container(manifests, name)["image"] for name in ("istiod", "istio-ingressgateway")}
    assert used == {image.reference for image in made}
    for image in made:
        assert set(image.tools) <= {"pilot-discovery", "envoy"}
        assert (
            not image.containerfile
            or (image_builder.CONTAINERFILES / image.containerfile / "Containerfile").exists()
        )


def test_istiod_changes_nothing_in_the_cluster(manifests: list[Manifest]) -> None:
    rules = find(manifests, "ClusterRole", "istiod")["rules"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}
    settings = {entry["name"]: entry.get("value") for entry in container(manifests, "istiod")["env"]}
    # Each of these would write: root certificates into every namespace, webhooks, leases, statuses.
    for setting in ("ENABLE_CA_SERVER", "INJECT_ENABLED", "PILOT_ENABLE_GATEWAY_API"):
        assert settings[setting] == "false"
    mesh = yaml.safe_load(find(manifests, "ConfigMap", "istio")["data"]["mesh"])
    assert mesh == {"enableAutoMtls": False, "ingressControllerMode": "OFF"}


def test_plain_envoy_is_sent_no_filter_of_istios_own(manifests: list[Manifest]) -> None:
    settings = {entry["name"]: entry.get("value") for entry in container(manifests, "istiod")["env"]}
    assert settings["PILOT_ENABLE_ALPN_FILTER"] == "false"
    assert settings["PILOT_ENABLE_METADATA_EXCHANGE"] == "false"


def test_the_gateway_is_found_by_the_label_and_the_port_that_a_gateway_names(
    manifests: list[Manifest],
) -> None:
    template = find(manifests, "Deployment", "istio-ingressgateway")["spec"]["template"]
    service = find(manifests, "Service", "istio-ingressgateway")["spec"]
    assert template["metadata"]["labels"] == service["selector"] == {"istio": "ingressgateway"}
    assert bootstrap(manifests)["node"]["metadata"]["LABELS"] == service["selector"]
    (port,) = service["ports"]
    assert (port["port"], port["targetPort"]) == (80, addresses.ISTIO_PORT)
    assert f"http://127.0.0.1:{addresses.ISTIO_PORT}" == addresses.ISTIO


def test_nothing_but_loopback_is_listened_on(manifests: list[Manifest]) -> None:
    assert find(manifests, "Deployment", "istio-ingressgateway")["spec"]["template"]["spec"]["hostNetwork"]
    admin = bootstrap(manifests)["admin"]["address"]["socket_address"]
    assert admin == {"address": "127.0.0.1", "port_value": addresses.ISTIO_ADMIN_PORT}
    (patch,) = find(manifests, "EnvoyFilter", "loopback")["spec"]["configPatches"]
    assert patch["match"]["listener"]["portNumber"] == addresses.ISTIO_PORT
    assert patch["patch"]["value"] == {"address": {"socket_address": {"address": "127.0.0.1"}}}
    assert set(addresses.ISTIO_PORTS) == {addresses.ISTIO_PORT, addresses.ISTIO_ADMIN_PORT}
    assert not set(addresses.ISTIO_PORTS) & {*addresses.HOST_PORTS, *addresses.NODE_PORTS}


def test_the_options_of_envoy_are_written_as_it_reads_them(manifests: list[Manifest]) -> None:
    words = container(manifests, "istio-ingressgateway")["args"]
    assert not [word for word in words if word.startswith("--") and "=" in word]
    node = words[words.index("--service-node") + 1]
    assert node == "router~$(POD_IP)~$(POD_NAME).istio-system~istio-system.svc.cluster.local"


def test_envoy_asks_the_service_of_istiod(manifests: list[Manifest]) -> None:
    (cluster,) = bootstrap(manifests)["static_resources"]["clusters"]
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    asked = endpoint["endpoint"]["address"]["socket_address"]
    service = find(manifests, "Service", "istiod")
    assert asked["address"] == f"istiod.{service['metadata']['namespace']}.svc.cluster.local"
    (port,) = service["spec"]["ports"]
    assert asked["port_value"] == port["port"]
    named = {p["name"]: p["containerPort"] for p in container(manifests, "istiod")["ports"]}
    assert named[port["targetPort"]] == port["port"]


def test_it_idles_small(manifests: list[Manifest]) -> None:
    for name in ("istiod", "istio-ingressgateway"):
        resources = container(manifests, name)["resources"]
        assert resources["requests"]["cpu"] == "10m"
        assert resources["limits"] == {"memory": "512Mi"}


# --- up ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def done(state: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been done, in order, on a local cluster without Istio."""
    said: list[str] = []

    def says(sentence: str, answer: object = None) -> Callable[..., object]:
        def instead(*arguments: object, **_named: object) -> object:
            said.append(sentence.format(*arguments))
            return answer

        return instead

    (state / "kubeconfig").touch()
    for place, name, instead in (
        (platform, "ready", says("look at {0}", {})),
        (preflight, "free", says("ports {0}")),
        (go_tools, "build", says("build {0}")),
        (image_builder, "layout", says("images {1}", Path("istio-images-1"))),
        (node, "import_images", says("import {0}")),
        (node, "kubectl", says("kubectl {0} {1} {2}")),
        (istio, "manifests", says("manifests", [])),
        (platform, "install", says("install")),
        (platform, "wait_ready", says("wait for {0}")),
    ):
        monkeypatch.setattr(place, name, instead)
    return said


def test_istio_is_built_imported_and_installed(done: list[str]) -> None:
    istio.up()
    assert done == [
        "look at istio-system",
        f"ports {addresses.ISTIO_PORTS}",
        "build ['pilot-discovery']",
        "manifests",
        "images istio-images",
        "import istio-images-1",
        "install",
        "wait for istio-system",
        "kubectl rollout restart deployment/argo-rollouts",
        "wait for argo-rollouts",
    ]


def test_its_ports_are_its_own_once_it_is_there(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "ready", lambda _namespace: {"deployment/istiod": "1/1"})
    istio.up()
    assert not [what for what in done if what.startswith(("ports", "kubectl"))]


def test_without_a_cluster_it_says_how_to_make_one(done: list[str], state: Path) -> None:
    (state / "kubeconfig").unlink()
    with pytest.raises(
        ClusterError, match=r"^There is no local cluster; `python -m cluster up` makes one\.$"
    ):
        istio.up()
    assert done == []


def test_another_cluster_is_left_alone(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somewhere/config")
    with pytest.raises(
        ClusterError, match=r"^`python -m cluster istio` is for the local cluster; on your own, "
    ):
        istio.up()
    assert done == []


def test_images_are_imported_once_a_layout(programs: Programs, tmp_path: Path) -> None:
    programs.add("ctr", "true")
    layout = tmp_path / "istio-images-1"
    layout.mkdir()
    marker = tmp_path / "imported-istio"
    node.import_images(layout, marker)
    node.import_images(layout, marker)
    assert len(programs.calls("ctr")) == 1
    assert marker.read_text() == "istio-images-1"
    node.import_images(layout.rename(tmp_path / "istio-images-2"), marker)
    assert len(programs.calls("ctr")) == 2
