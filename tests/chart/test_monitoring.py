"""What Prometheus is told: whom to scrape, what to reckon, what the releases are asked."""

import re
from copy import deepcopy
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, ROOT, render

QUESTIONS = sorted(path.stem for path in ROOT.glob("analysis-templates/*.yaml"))
WATCHED = (
    "answers",
    "business",
    "conversion",
    "health",
    "regression",
    "saturation",
    "worker-failures",
)  # and never a gate
# Judged by evidence, as a gate and as a watch.
EVIDENCE = [name for name in QUESTIONS if name not in (*WATCHED, "regression-preview", "security", "weight")]


def test_pods_are_scraped_as_the_verdicts_need_it() -> None:
    spec = render("production", "canary", local=True).one("PodMonitor")["spec"]
    assert spec["podTargetLabels"] == ["rollouts-pod-template-hash", "crm/release"]
    assert [endpoint["port"] for endpoint in spec["podMetricsEndpoints"]] == ["metrics"]
    for endpoint in spec["podMetricsEndpoints"]:
        assert endpoint["honorLabels"] is True
        assert endpoint["interval"] == "2s"
        release, container = endpoint["relabelings"]
        assert release["sourceLabels"] == ["__meta_kubernetes_pod_label_delivery_crm_release"]
        assert release["targetLabel"] == "crm_release", "the name under which rules and analyses have it"
        assert container == {
            "sourceLabels": ["__meta_kubernetes_pod_container_id"],
            "targetLabel": "container_id",
        }


def test_the_monitor_finds_every_role_and_its_port() -> None:
    manifests = render("production", "canary")
    selector = manifests.one("PodMonitor")["spec"]["selector"]
    (expression,) = selector["matchExpressions"]
    ports: dict[str, int] = {}
    deployments = (manifests.one("Deployment", name) for name in ("crm-worker", "crm-beat"))
    for workload in (manifests.one("Rollout"), *deployments):
        template = workload["spec"]["template"]
        assert selector["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert template["metadata"]["labels"][expression["key"]] in expression["values"]
        ports |= {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
    assert ports == {"http": 8000, "metrics": 8001}


WORDS = {
    "NAMESPACE": "crm-staging",
    "ENVIRONMENT": "staging",
    "DOMAIN": "staging.localhost",
    "INTERVAL": "2s",
    "CPU_TARGET": "2000",
    "RUNBOOKS": "https://docs.example.com/runbooks",
    "HAS_ARGO_CD": "0",
    "HAS_GUARD": "1",
    "HAS_ISSUER": "0",
    "HAS_TRAEFIK": "1",
    "HAS_CERTIFICATE": "0",
    "CANARY": "crm-canary",
    "STABLE": "crm-stable",
}


def filled(text: str) -> Any:
    for word, value in WORDS.items():
        text = re.sub(rf"\b{word}\b", value, text)
    return yaml.safe_load(text)


def test_rules_are_the_files_with_their_words_filled_in() -> None:
    values = {"alerts": {"runbookBaseURL": "https://docs.example.com/runbooks/"}}
    manifests = render("staging", "canary", local=True, values=values)
    files = {path.stem: path.read_text() for path in CHART.glob("files/rules/*.yaml")}
    assert manifests.names("PrometheusRule") == {f"crm-{name}" for name in files}
    for name, text in files.items():
        spec = deepcopy(manifests.one("PrometheusRule", f"crm-{name}")["spec"])
        assert not re.search(rf"\b({'|'.join(WORDS)})\b", str(spec))
        waits = [rule.pop("for", None) for rule in rules_of(spec)]
        written = filled(text)
        assert [in_seconds(rule.pop("for", None)) for rule in rules_of(written)] == waits
        assert spec == written


def rules_of(spec: Any) -> list[Any]:
    return [rule for group in spec["groups"] for rule in group["rules"]]


def in_seconds(duration: str | None) -> str | None:
    return duration and f"{int(duration[:-1]) * {'s': 1, 'm': 60, 'h': 3600}[duration[-1]]}s"


def test_a_hurry_shortens_every_wait_by_one_factor_and_changes_nothing_else() -> None:
    usual, hurried = (
        deepcopy(
            [rule["spec"] for rule in render("production", "canary", values=values).of("PrometheusRule")]
        )
        for values in (None, {"alerts": {"timeScale": 60}})
    )
    waits = [
        (rule.pop("for"), other.pop("for"))
        for spec, faster in zip(usual, hurried, strict=True)
        for rule, other in zip(rules_of(spec), rules_of(faster), strict=True)
        if "for" in rule
    ]
    assert usual == hurried
    assert len(waits) > 20
    assert all(int(wait[:-1]) == 60 * int(shorter[:-1]) for wait, shorter in waits)


def test_rules_are_evaluated_as_often_as_pods_are_scraped() -> None:
    """Those of the objectives are averages over minutes to days."""
    manifests = render("production", "canary")
    (endpoint, *_) = manifests.one("PodMonitor")["spec"]["podMetricsEndpoints"]
    for rule in manifests.of("PrometheusRule"):
        for group in rule["spec"]["groups"]:
            assert group["interval"] == ("30s" if group["name"] == "crm-objectives" else endpoint["interval"])


def test_every_question_is_rendered_whether_a_strategy_asks_it_or_not() -> None:
    watched = {f"{name}-watch" for name in WATCHED}
    expected = {"regression-preview", "security", "weight", *watched} | {
        name + end for name in EVIDENCE for end in ("", "-watch")
    }
    assert render("dev", "rolling-update").names("AnalysisTemplate") == expected


def test_questions_are_reached_through_a_relative_link() -> None:
    link = CHART / "analysis-templates"
    assert link.is_symlink()
    assert str(link.readlink()) == "../../analysis-templates"


@pytest.mark.parametrize("name", EVIDENCE)
def test_helm_fills_in_the_times_and_leaves_argos_arguments_alone(name: str) -> None:
    template = render("production", "canary", local=True).one("AnalysisTemplate", name)
    (metric,) = template["spec"]["metrics"]
    assert (metric["interval"], metric["initialDelay"], metric["count"]) == ("3s", "5s", 100)
    query = metric["provider"]["prometheus"]["query"]
    assert set(re.findall(r"\{\{.*?\}\}", query)) == {"{{args.canary-hash}}", "{{args.stable-hash}}"}
    assert 'namespace="crm-production"' in query
    assert {argument["name"] for argument in template["spec"]["args"]} == {"canary-hash", "stable-hash"}


@pytest.mark.parametrize("name", [name for name in WATCHED if name != "health"])
def test_a_watch_asks_about_its_own_environment(name: str) -> None:
    template = render("production", "canary", local=True).one("AnalysisTemplate", f"{name}-watch")
    (metric,) = template["spec"]["metrics"]
    query = metric["provider"]["prometheus"]["query"]
    assert query.count('namespace="crm-production"') == query.count("namespace=") > 0
    assert {argument["name"] for argument in template["spec"]["args"]} == set(
        re.findall(r"\{\{args\.(.*?)\}\}", query)
    )


@pytest.mark.parametrize(("local", "moments"), [(False, "[30s]"), (True, "[10s]")])
@pytest.mark.parametrize("name", [*EVIDENCE, "regression-preview"])
def test_a_gate_passes_only_while_requests_arrive(name: str, moments: str, *, local: bool) -> None:
    template = render("production", "canary", local=local).one("AnalysisTemplate", name)
    assert moments in template["spec"]["metrics"][0]["provider"]["prometheus"]["query"]


@pytest.mark.parametrize(("local", "window", "delay"), [(False, "30s", "45s"), (True, "10s", "15s")])
def test_the_weight_is_first_measured_when_the_former_step_is_out_of_the_window(
    window: str, delay: str, *, local: bool
) -> None:
    template = render("production", "canary", local=local).one("AnalysisTemplate", "weight")
    (metric,) = template["spec"]["metrics"]
    assert metric["initialDelay"] == delay
    query = metric["provider"]["prometheus"]["query"]
    assert f"[{window}]" in query
    assert set(re.findall(r"\{\{.*?\}\}", query)) == {"{{args.canary-hash}}", "{{args.weight}}"}


def test_without_a_prometheus_operator_helm_alone_still_works() -> None:
    alone = render(monitored=False)
    assert not alone.of("PodMonitor")
    assert not alone.of("PrometheusRule")
    assert alone.one("Rollout")


def test_a_strategy_that_asks_questions_never_goes_without_its_rules() -> None:
    manifests = render("production", "canary", monitored=False)
    assert manifests.of("PodMonitor")
    assert manifests.of("PrometheusRule")
