import json

import pytest

from delivery.kubernetes.analysis import AnalysisRun, Finding, RequestCount, answered, findings


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
