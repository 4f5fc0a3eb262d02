"""Values that make no sense are refused, each with the sentence that says what to change."""

import json

import pytest
import yaml

from tests.chart.rendering import CHART, ROOT, Values, refusal, render

NO_SENSE = [
    pytest.param(
        "canary",
        {"routing": {"provider": "none"}, "strategy": {"analyses": []}},
        "strategy.weights asks for 5 %, but without a router shares are whole pods and 4 replicas"
        " reach 20.0 % at the least: set routing.provider to traefik, or have 19 replicas, or start at a"
        " higher weight.",
        id="5 % of four pods",
    ),
    pytest.param(
        "canary",
        {"routing": {"provider": "none"}, "strategy": {"weights": [50, 100]}},
        "strategy.analyses names health, which is asked at the canary's own Service, and without a router"
        " there is none: set routing.provider to traefik or remove health.",
        id="health without a canary Service",
    ),
    pytest.param(
        "canary",
        {"strategy": {"weights": [2.5, 100]}},
        "strategy.weights asks for 2.5 %, but routers are told whole percents: use 2 or 3.",
        id="half a percent",
    ),
    pytest.param(
        None,
        {"routing": {"tls": {"issuer": "letsencrypt-prod"}}},
        "routing.tls.issuer is letsencrypt-prod, but routing.tls.secret is empty: name the Secret that the certificate"
        " is kept in, or empty the issuer for plain http.",
        id="a certificate that is kept nowhere",
    ),
    pytest.param(
        None,
        {"routing": {"provider": "none", "tls": {"secret": "crm-tls"}}},
        "routing.tls.secret is crm-tls, but without a router nobody uses it: set routing.provider to traefik, or empty"
        " routing.tls.",
        id="https without a router",
    ),
    pytest.param(
        None,
        {"routing": {"provider": "istio", "tls": {"secret": "crm-tls", "issuer": "letsencrypt-prod"}}},
        "routing.tls.issuer is letsencrypt-prod, but Istio reads certificates in the namespace of its gateway, where a"
        " release may make none: keep a Certificate there, name its Secret in routing.tls.secret and empty the issuer.",
        id="a certificate where Istio does not look",
    ),
    pytest.param(
        None,
        {"routing": {"provider": "gatewayAPI"}, "networkPolicy": {"ingressNamespace": "gateways"}},
        "routing.provider is gatewayAPI, but routing.gatewayAPI.class is empty: name the Gateway class of your router.",
        id="a Gateway of no class",
    ),
    pytest.param(
        None,
        {"routing": {"provider": "gatewayAPI", "gatewayAPI": {"class": "example"}}},
        "routing.provider is gatewayAPI, whose pods run in a namespace of their own choice: name it in"
        " networkPolicy.ingressNamespace, or set networkPolicy.enabled to false.",
        id="a router that nobody lets in",
    ),
    pytest.param(
        None,
        {"web": {"replicas": 3}},
        "web.replicas and autoscaling are both set and would fight: remove web.replicas or set"
        " autoscaling.enabled to false.",
        id="two hands on the replicas",
    ),
    pytest.param(
        None,
        {"autoscaling": {"enabled": False}},
        "autoscaling is off and web.replicas is not set: say how many pods serve the CRM in web.replicas.",
        id="no hand on the replicas",
    ),
    pytest.param(
        None,
        {"autoscaling": {"minReplicas": 30}},
        "autoscaling.minReplicas is 30 and maxReplicas 20: raise maxReplicas or lower minReplicas.",
        id="least above most",
    ),
    pytest.param(
        "canary",
        {"database": {"maxConnections": 206}},
        "database.maxConnections is 206, but 2 x 20 web pods with 5 connections each, 2 of the worker, 1 of beat, 1 of"
        " the migration and 3 that PostgreSQL keeps for its administrator are 207: lower autoscaling.maxReplicas or"
        " web.threads, or raise max_connections of the server and this value with it.",
        id="more connections than the server has",
    ),
    pytest.param(
        None,
        {
            "autoscaling": {"enabled": False},
            "web": {"replicas": 12, "threads": 8},
            "worker": {"replicas": 3},
            "database": {"maxConnections": 226},
        },
        "database.maxConnections is 226, but 2 x 12 web pods with 9 connections each, 6 of the worker, 1 of beat, 1 of"
        " the migration and 3 that PostgreSQL keeps for its administrator are 227: lower web.replicas or web.threads,"
        " or raise max_connections of the server and this value with it.",
        id="a fixed number of pods has more connections than the server",
    ),
    pytest.param(
        "canary",
        {"analysis": {"scrapeInterval": "30s", "window": "90s", "initialDelay": "1m"}},
        "analysis.scrapeInterval is 30s, but the shortest window of the rules is a minute and has to hold three"
        " scrapes: scrape every 20s or more often.",
        id="fewer than three scrapes a minute",
    ),
    pytest.param(
        "canary",
        {"analysis": {"scrapeInterval": "15s"}},
        "analysis.window is 30s, which holds fewer than three scrapes at one every 15s: make it 45s or longer, or"
        " scrape more often.",
        id="a window of two scrapes",
    ),
    pytest.param(
        "canary",
        {"analysis": {"scrapeInterval": "10s"}},
        "analysis.initialDelay is 15s, but a gate sees its own step's requests after two scrapes at one every 10s:"
        " make it 20s or longer, or scrape more often.",
        id="a gate that looks at the step before",
    ),
    pytest.param(
        "canary",
        {
            "image": {"version": "1.8"},
            "analysis": {
                "expected": [{"endpoint": "deals-list", "method": "GET", "status": 404, "version": "1.7"}]
            },
        },
        "analysis.expected has GET deals-list 404 for version 1.7, and this is 1.8: take it out, or name the"
        " version that brings it.",
        id="what an earlier release was expected to change",
    ),
    *(
        pytest.param(
            None,
            {"image": {"digest": digest}},
            f'image.digest is "{digest}": a release names its image by digest, sha256: and 64 hexadecimal'
            " digits, and not by a tag.",
            id=f"digest {digest[:12]}",
        )
        for digest in ("", "1.1", "sha256:" + "a" * 63, "sha256:" + "A" * 64, "sha256:" + "a" * 64 + "b")
    ),
    pytest.param(
        None,
        {"image": {"repository": ""}},
        "image.repository is empty: name the image that the release runs, without tag or digest.",
        id="no image",
    ),
    pytest.param(
        "canary",
        {"strategy": {"weights": [5, 50, 20, 100]}},
        "strategy.weights must ascend, but 20 follows 50: sort them and name each share once.",
        id="weights that descend",
    ),
    pytest.param(
        "canary",
        {"strategy": {"weights": [5, 5, 100]}},
        "strategy.weights must ascend, but 5 follows 5: sort them and name each share once.",
        id="a weight twice",
    ),
    pytest.param(
        "canary",
        {"strategy": {"weights": [5, 20, 50]}},
        "strategy.weights ends at 50: a release that is promoted gets all traffic, so end the"
        " weights with 100.",
        id="weights without an end",
    ),
    pytest.param(
        "canary",
        {"strategy": {"weights": []}},
        "strategy.weights ends at 0: a release that is promoted gets all traffic, so end the"
        " weights with 100.",
        id="no weights",
    ),
    pytest.param(
        "canary",
        {"strategy": {"weights": [5, 50], "approval": True}},
        "strategy.approval asks a person before 100 %, but strategy.weights has no step to 100: end"
        " the weights with 100 or set approval to false.",
        id="approval of a step that is not there",
    ),
    pytest.param(
        None,
        {"strategy": {"name": "big-bang"}},
        'strategy.name is "big-bang", which is no strategy: use ab-test or blue-green or canary or rolling-update,'
        " each a file in rollouts/.",
        id="unknown strategy",
    ),
    pytest.param(
        "blue-green",
        {"strategy": {"weights": [50, 100]}},
        "strategy.name is blue-green, which has the one weight 100: use the canary strategy for more steps.",
        id="steps of blue-green",
    ),
    pytest.param(
        "blue-green",
        {"strategy": {"stepDuration": "1m"}},
        "strategy.stepDuration is 1m, but blue-green has no steps: set it to 0s.",
        id="hold of blue-green",
    ),
    pytest.param(
        "ab-test",
        {"strategy": {"approval": False}},
        "strategy.name is ab-test, which lasts until a person decides: set strategy.approval to true, or use the"
        " canary strategy.",
        id="an A/B test that nobody ends",
    ),
    pytest.param(
        "ab-test",
        {"strategy": {"bake": True}},
        "strategy.bake is true, but ab-test does not keep the version before once everybody has the new one: set"
        " it to false, or use canary or blue-green.",
        id="bake of an A/B test",
    ),
    *(
        pytest.param(
            strategy,
            {"routing": {"provider": "none"}},
            f"strategy.name is {strategy}, which needs a router to tell its users apart: set routing.provider to"
            " traefik, or use canary or rolling-update.",
            id=f"{strategy} without a router",
        )
        for strategy in ("ab-test", "blue-green")
    ),
    pytest.param(
        "rolling-update",
        {"strategy": {"weights": [50, 100]}},
        "strategy.name is rolling-update, which has the one weight 100: use the canary strategy for more"
        " steps.",
        id="a rolling update in steps",
    ),
    pytest.param(
        "canary",
        {"strategy": {"analyses": ["happiness"]}},
        'strategy.analyses names "happiness", but there is no analysis-templates/happiness.yaml: correct the'
        " name or write the analysis.",
        id="unknown question",
    ),
    pytest.param(
        None,
        {"secrets": {"create": False}},
        "there are no secrets: name a Secret in secrets.existingSecret, or set secrets.create to true for"
        " development.",
        id="no secrets",
    ),
    pytest.param(
        None,
        {"secrets": {"existingSecret": "crm-secrets"}},
        "secrets.create and secrets.existingSecret are both set: empty existingSecret, or set create to false"
        " to use it.",
        id="two sources of secrets",
    ),
    pytest.param(
        None,
        {"database": {"mode": "external"}},
        "database.mode is external, but database.host is empty: name the server, or set the mode to"
        " embedded.",
        id="an external database without a host",
    ),
    pytest.param(
        None,
        {"redis": {"mode": "external"}},
        "redis.mode is external, but redis.host is empty: name the server, or set the mode to embedded.",
        id="an external cache without a host",
    ),
]


@pytest.mark.parametrize(("strategy", "values", "sentence"), NO_SENSE)
def test_what_makes_no_sense(strategy: str | None, values: Values, sentence: str) -> None:
    assert sentence in refusal(values, strategy=strategy)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"strategies": {}}, "additional properties 'strategies' not allowed"),
        ({"strategy": {"pause": "5m"}}, "'/strategy': additional properties 'pause' not allowed"),
        ({"image": {"tag": "1.1"}}, "'/image': additional properties 'tag' not allowed"),
        ({"strategy": {"weights": [0, 100]}}, "'/strategy/weights/0'"),
        ({"strategy": {"weights": [5, 120]}}, "'/strategy/weights/1'"),
        ({"strategy": {"weights": [0.5, 100]}}, "'/strategy/weights/0'"),
        ({"strategy": {"stepDuration": "soon"}}, "'/strategy/stepDuration'"),
        ({"analysis": {"count": 0}}, "'/analysis/count'"),
        ({"analysis": {"interval": 5}}, "'/analysis/interval'"),
        ({"routing": {"provider": "haproxy"}}, "'/routing/provider'"),
        (
            {"routing": {"entryPoints": ["websecure"]}},
            "'/routing': additional properties 'entryPoints' not allowed",
        ),
        ({"routing": {"hops": -1}}, "'/routing/hops'"),
        ({"email": {"proof": "no"}}, "'/email/proof'"),
        ({"rateLimits": {"signIn": {"address": "ten/minute"}}}, "'/rateLimits/signIn/address'"),
        ({"rateLimits": {"signUp": {"account": "10/day"}}}, "additional properties 'account' not allowed"),
        ({"routing": {"tls": {"secret": "Crm TLS"}}}, "'/routing/tls/secret'"),
        ({"routing": {"nginx": {"class": ""}}}, "'/routing/nginx/class'"),
        ({"routing": {"istio": {"gateway": ""}}}, "'/routing/istio/gateway'"),
        ({"database": {"mode": "sqlite"}}, "'/database/mode'"),
        ({"web": {"replicas": 0}}, "'/web/replicas'"),
    ],
)
def test_what_is_not_well_formed(values: Values, words: str) -> None:
    assert words in refusal(values)


# Given to Kubernetes as it stands, which refuses what it does not know.
KUBERNETES_OWN = {
    *(
        "affinity",
        "annotations",
        "commonLabels",
        "labels",
        "nodeSelector",
        "podAnnotations",
        "podLabels",
        "tolerations",
    ),
    *(
        "extraEnv",
        "extraEnvFrom",
        "extraObjects",
        "extraVolumeMounts",
        "extraVolumes",
        "topologySpreadConstraints",
    ),
}


def test_no_part_of_the_values_takes_an_unknown_key() -> None:
    def objects(node: object, path: str = "") -> list[str]:
        if isinstance(node, list):
            return [found for i, item in enumerate(node) for found in objects(item, f"{path}/{i}")]
        if not isinstance(node, dict):
            return []
        loose = node.get("type") == "object" and node.get("additionalProperties") is not False
        return [path] * loose + [f for key, value in node.items() for f in objects(value, f"{path}/{key}")]

    schema = json.loads((CHART / "values.schema.json").read_text())
    assert [path for path in objects(schema) if not KUBERNETES_OWN & set(path.split("/"))] == []


def test_a_share_that_whole_pods_reach_needs_no_router() -> None:
    values = {
        "routing": {"provider": "none"},
        "strategy": {"name": "canary", "weights": [20, 100], "analyses": ["error-rate"]},
    }
    steps = render(values=values).rollout["strategy"]["canary"]["steps"]
    assert [step["setWeight"] for step in steps if "setWeight" in step] == [20, 100]


def test_three_scrapes_are_a_window() -> None:
    values = {"analysis": {"scrapeInterval": "20s", "window": "60s", "initialDelay": "40s"}}
    assert render(values=values).one("PodMonitor")


def test_connections_that_just_fit_are_accepted_and_unknown_ones_not_counted() -> None:
    assert render(values={"database": {"maxConnections": 207}}).rollout
    assert render(values={"autoscaling": {"maxReplicas": 500}}).rollout


def test_the_connections_that_are_counted_are_those_that_the_application_opens() -> None:
    """One a thread and one for the health check in a web pod's pool, one a process of the worker."""
    assert '"max_size": WEB_THREADS + 1' in (ROOT / "app/config/settings/web.py").read_text()
    assert '--concurrency "${WORKER_CONCURRENCY:-2}"' in (ROOT / "app/entrypoint").read_text()
    names = {each["name"] for each in render().pod_specs()["Deployment crm-worker"]["containers"][0]["env"]}
    assert "WORKER_CONCURRENCY" not in names


def test_production_says_how_many_connections_its_database_has() -> None:
    values = yaml.safe_load((ROOT / "environments/production/values.yaml").read_text())
    assert values["database"]["maxConnections"] == 250
