"""What is installed comes from the real module, fetched with the pinned Go."""

import pytest
import yaml

from cluster import addresses, kyverno, node, paths, platform
from cluster.errors import ClusterError
from cluster.platform import Manifest

pytestmark = pytest.mark.slow

CACHE = paths.CACHE
"""Where Go is: read before the tests' own paths are set."""


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """What is installed, to be read and not changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", CACHE)
        return kyverno.manifests()


def of_kind(documents: list[Manifest], kind: str) -> list[Manifest]:
    return [document for document in documents if document["kind"] == kind]


def test_only_what_admits_is_installed(manifests: list[Manifest]) -> None:
    (controller,) = of_kind(manifests, "Deployment")
    assert controller["metadata"]["name"] == "kyverno-admission-controller"
    accounts = {account["metadata"]["name"] for account in of_kind(manifests, "ServiceAccount")}
    assert accounts == {"kyverno-admission-controller"}
    bound = {
        subject["name"] for each in of_kind(manifests, "ClusterRoleBinding") for subject in each["subjects"]
    }
    assert bound == accounts


def test_everything_is_in_its_own_namespace(manifests: list[Manifest]) -> None:
    assert {each["metadata"].get("namespace") for each in manifests} == {None, kyverno.NAMESPACE}


def test_the_definition_of_the_rule_is_among_it(manifests: list[Manifest]) -> None:
    rule = kyverno.policy("a key")
    group, version = rule["apiVersion"].split("/")
    (definition,) = [
        each["spec"]
        for each in of_kind(manifests, "CustomResourceDefinition")
        if each["spec"]["names"]["kind"] == rule["kind"]
    ]
    assert definition["group"] == group
    assert version in {each["name"] for each in definition["versions"] if each["served"]}


def test_what_runs_is_what_was_built_and_the_clusters_own_registry(manifests: list[Manifest]) -> None:
    (built,) = kyverno.all_images()
    (controller,) = of_kind(manifests, "Deployment")
    pod = controller["spec"]["template"]["spec"]
    assert "initContainers" not in pod
    assert {container["image"] for container in pod["containers"]} == {
        built.reference,
        "localhost/registry:v3",
    }


def test_images_are_asked_for_under_the_name_that_they_have(manifests: list[Manifest]) -> None:
    (settings,) = [each for each in of_kind(manifests, "ConfigMap") if each["metadata"]["name"] == "registry"]
    read = yaml.safe_load(settings["data"]["config.yml"])
    assert read["http"]["addr"] == f"127.0.0.1:{addresses.REGISTRY.split(':')[1]}"
    assert read["proxy"]["remoteurl"] == addresses.REGISTRY_IN_CLUSTER


def test_the_local_rule_differs_from_productions_in_who_signs_only() -> None:
    production = yaml.safe_load(kyverno.POLICY.read_text(encoding="utf-8"))
    local = kyverno.policy("-----BEGIN PUBLIC KEY-----")
    (theirs,), (ours,) = production["spec"].pop("attestors"), local["spec"].pop("attestors")
    assert local == production
    assert ours["name"] == theirs["name"]
    assert ours["cosign"]["key"] == {"data": "-----BEGIN PUBLIC KEY-----"}


def test_the_rule_refuses_where_nobody_answers_and_asks_in_environments_only() -> None:
    spec = kyverno.policy("a key")["spec"]
    assert spec["failurePolicy"] == "Fail"
    assert spec["validationActions"] == ["Deny"]
    assert spec["matchConstraints"]["namespaceSelector"] == {
        "matchLabels": {"app.kubernetes.io/part-of": "crm"}
    }


def test_an_image_needs_its_own_signature_and_a_signed_list_of_what_is_in_it() -> None:
    """Asked for a signature of any type, Kyverno takes the one under the list for the image's."""
    spec = kyverno.policy("a key")["spec"]
    types = {each["name"]: each["intoto"]["type"] for each in spec["attestations"]}
    assert types == {"signature": "https://sigstore.dev/cosign/sign/v1", "sbom": "https://spdx.dev/Document"}
    for name, validation in zip(types, spec["validations"], strict=True):
        assert f"attestations.{name}, [attestors.pipeline]) > 0" in validation["expression"]


def test_it_is_for_the_local_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "add", lambda *_: pytest.fail("installed it"))
    monkeypatch.setattr(node, "existing_cluster", lambda: True)
    with pytest.raises(ClusterError, match="on your own, install Kyverno as its documentation says"):
        kyverno.up()
