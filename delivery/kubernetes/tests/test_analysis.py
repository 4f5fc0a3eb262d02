import json

import pytest

from delivery.kubernetes.analysis import AnalysisRun, Comparison, Finding, RequestCount, answered, findings
from delivery.kubernetes.limits import REGRESSION


def result(name: str, phase: str, **measurement: str) -> AnalysisRun:
    results = [{"name": name, "phase": phase, "measurements": [measurement]}]
    return AnalysisRun.parse({"status": {"metricResults": results}})


def test_counts_are_in_the_message() -> None:
    counts = {"error-rate": RequestCount(requests=30, bad=22)}
    (finding,) = findings(result("error-rate-watch", "Failed"), "1.2", counts)
    assert finding.message == "error-rate: 22 of 30 requests of 1.2 failed (73 %, limit 5 %)"


def test_the_evidence_is_beside_the_counts() -> None:
    counts = {"latency": RequestCount(requests=31, bad=12)}
    (finding,) = findings(result("latency", "Failed", value="[9.1234]"), "1.2", counts)
    assert finding.message == (
        "latency: 12 of 31 requests of 1.2 were slow (39 %, limit 5 %), evidence 9.1 (4.6 aborts)"
    )


def test_without_counts_the_measured_value_is_in_the_message() -> None:
    (finding,) = findings(result("latency", "Failed", value="[5.1]"), "1.2")
    assert finding.message == "latency: 1.2 was proven bad (measured [5.1])"


def test_what_passed_is_no_finding() -> None:
    assert findings(result("latency", "Successful"), "1.2") == []
    assert findings(AnalysisRun.parse({}), "1.2") == []


def test_what_delivery_verdicts_answered_is_in_its_own_words() -> None:
    value = json.dumps({"verdict": "bad", "says": "1 critical and 0 high vulnerabilities"})
    assert findings(result("security", "Failed", value=value), "1.2") == [
        Finding("security", "Failed", "security: 1 critical and 0 high vulnerabilities")
    ]


def test_an_answer_that_stayed_unknown_has_proven_nothing() -> None:
    value = json.dumps({"verdict": "unknown", "says": "no scan result of this digest is in the registry"})
    assert findings(result("scanned", "Failed", value=value), "1.2") == [
        Finding("scanned", "Error", "scanned: no scan result of this digest is in the registry")
    ]


@pytest.mark.parametrize("value", [None, "", "[12.3]", "3", "null", '"bad"', "{", '{"verdict": "bad"}'])
def test_what_others_answered_is_not_the_guards(value: str | None) -> None:
    assert answered(value) == {}


@pytest.mark.parametrize(
    ("question", "value", "says"),
    [
        (
            "worker-failures",
            "[7.2103]",
            "more than 1 in 20 tasks of 1.2 fail, proven bad, evidence 7.2 (4.6 aborts)",
        ),
        (
            "business",
            "[4.61]",
            (
                "a request of 1.2 leads to less than half as many deals or sign-ins as one of the stable version, "
                "proven bad, evidence 4.6 (4.6 aborts)"
            ),
        ),
        (
            "conversion",
            "[5]",
            (
                "a request of 1.2 leads to less than half as many won deals as one of the others, "
                "proven bad, evidence 5.0 (4.6 aborts)"
            ),
        ),
        (
            "saturation",
            "[0.634]",
            "1.2 waited 63 % of its time for a processor or a database connection (50 % aborts)",
        ),
        (
            "saturation",
            "[1.24]",
            "1.2 waited 100 % of its time for a processor or a database connection (50 % aborts)",
        ),
    ],
)
def test_each_watch_says_what_it_found(question: str, value: str, says: str) -> None:
    (finding,) = findings(result(f"{question}-watch", "Failed", value=value), "1.2")
    assert finding.question == question
    assert finding.message == f"{question}: {says}"


@pytest.mark.parametrize(
    ("question", "count", "says"),
    [
        (
            "regression",
            Comparison(412, 13, "errors", "deals-list", "POST", RequestCount(7800, 0)),
            "POST deals-list fails: 3.2 % of 412 in 1.7, 0.0 % of 7,800",
        ),
        (
            "regression",
            Comparison(200, 100, "slow-0.25", "all", "all", RequestCount(4000, 40)),
            "a request takes longer than 0.25 s: 50.0 % of 200 in 1.7, 1.0 % of 4,000",
        ),
        (
            "regression",
            Comparison(200, 20, "fast-2.0", "deals-list", "GET", RequestCount(400, 160)),
            "GET deals-list takes longer than 2 s: 90.0 % of 200 in 1.7, 60.0 % of 400",
        ),
        (
            "regression",
            Comparison(40, 4, "lost", "all", "all", RequestCount(760, 0)),
            "a request is lost with the process that it came to: 10.0 % of 40 in 1.7, 0.0 % of 760",
        ),
        (
            "regression",
            Comparison(120, 9, "restarts", "all", "all", RequestCount(240, 0)),
            "containers restart: 9 times in 1.7, 0 times",
        ),
        (
            "answers",
            Comparison(40, 40, "refused-401", "auth-token", "POST", RequestCount(760, 2)),
            "POST auth-token is answered 401: 100.0 % of 40 in 1.7, 0.3 % of 760",
        ),
        (
            "answers",
            Comparison(40, 20, "unmatched", "all", "all", RequestCount(760, 0)),
            "a request finds no route: 50.0 % of 40 in 1.7, 0.0 % of 760",
        ),
        (
            "answers",
            Comparison(40, 40, "empty", "deals-list", "GET", RequestCount(760, 0)),
            "GET deals-list is answered with nothing: 100.0 % of 40 in 1.7, 0.0 % of 760",
        ),
    ],
)
def test_a_comparison_is_a_sentence(question: str, count: Comparison, says: str) -> None:
    run = result(f"{question}-watch", "Failed", value="[8.25]")
    (finding,) = findings(run, "1.7", {question: count})
    expected = f"{question}: {says} in the stable version at the same time, evidence 8.2 (4.6 aborts)"
    assert finding.message == expected


def test_every_stream_has_its_sentence() -> None:
    for stream in REGRESSION.streams:
        sentence = Comparison(10, 5, stream.name, "all", "all", RequestCount(10, 0)).describe("1.7")
        assert "{" not in sentence


@pytest.mark.parametrize(
    ("question", "phase", "blames"),
    [
        ("regression", "Failed", True),
        ("answers", "Failed", False),
        ("error-rate", "Failed", True),
        ("regression", "Inconclusive", False),
    ],
)
def test_what_a_release_may_mean_to_do_does_not_blame_its_image(
    question: str, phase: str, blames: bool
) -> None:
    (finding,) = findings(result(f"{question}-watch", phase, value="[5.1]"), "1.7")
    assert finding.blames is blames
