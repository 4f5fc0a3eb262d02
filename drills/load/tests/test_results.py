from __future__ import annotations

import base64

import pytest

from drills.load.results import SCANNER, Record, Request, quantile, read

HEADERS = base64.b64encode(b"Content-Length: 7\r\nX-Crm-Version: 1.1\r\n\r\n").decode()


def request(at: float, *, code: int = 200, version: str | None = "1.0", latency: float = 0.1) -> Request:
    return Request(at=at, latency=latency, code=code, version=version)


def test_a_row_of_the_load_generator_is_read() -> None:
    row = f"1800000000500000000,201,250000000,12,0,,,,7,POST,http://127.0.0.1/deals/,{HEADERS}\n"

    (found,) = read([row]).requests

    assert found == Request(
        at=1_800_000_000.5,
        latency=0.25,
        code=201,
        version="1.1",
        method="POST",
        url="http://127.0.0.1/deals/",
    )
    assert found.answered_at == 1_800_000_000.75
    assert not found.failed


def test_a_request_without_an_answer_has_no_version_and_failed() -> None:
    row = '1800000000500000000,0,30000000000,0,0,"Get ""http://x"": EOF",,,7,GET,http://x,\n'

    (found,) = read([row]).requests

    assert (found.version, found.code, found.failed) == (None, 0, True)
    assert found.error == 'Get "http://x": EOF'


def test_the_routers_own_answer_has_no_version() -> None:
    headers = base64.b64encode(b"Content-Type: text/plain\r\n\r\n").decode()

    (found,) = read(
        [f"1800000000500000000,502,1000,0,0,502 Bad Gateway,,,7,GET,http://x,{headers}\n"]
    ).requests

    assert found.version is None


@pytest.mark.parametrize(
    ("code", "failed"),
    [(0, True), (199, True), (200, False), (302, False), (401, True), (429, True), (500, True)],
)
def test_every_answer_that_is_not_a_success_is_a_failure(code: int, failed: bool) -> None:
    assert request(1.0, code=code).failed is failed


@pytest.mark.parametrize(("code", "failed"), [(404, False), (200, True), (500, True), (0, True)])
def test_a_scanner_is_to_be_told_that_there_is_nothing(code: int, failed: bool) -> None:
    asked = Request(1.0, 0.1, code, "1.0", url=f"http://router:1/wp-login.php#{SCANNER}")

    assert asked.failed is failed


def test_a_window_has_its_start_and_not_its_end() -> None:
    record = Record(request(at) for at in (3.0, 1.0, 2.0))

    assert [each.at for each in record.between(1.0, 3.0).requests] == [1.0, 2.0]


def test_a_share_leaves_out_what_no_version_answered() -> None:
    answers = ["1.0", "1.0", "1.0", "1.1", None, None]
    record = Record(request(float(at), version=version) for at, version in enumerate(answers))

    assert record.share_of("1.1") == 0.25
    assert record.share_of("1.2") == 0.0
    assert Record([request(1.0, version=None)]).share_of("1.1") is None


def test_the_first_failed_answer_is_the_one_that_arrived_first() -> None:
    record = Record([request(1.0, code=500, latency=9.0), request(2.0, code=500, latency=0.5), request(0.0)])

    assert record.first_failed_answer(sent_before=10) == 2.5
    assert record.first_failed_answer(sent_before=0) is None
    assert record.failed_share == pytest.approx(2 / 3)
    assert Record([]).first_failed_answer(sent_before=10) is None
    assert Record([]).failed_share == 0.0


def test_seconds_have_no_gaps() -> None:
    record = Record([request(10.0), request(10.9, code=500), request(12.1, version="1.1")])

    seconds = record.seconds()

    assert [second.requests for second in seconds] == [2, 0, 1]
    assert [second.failed for second in seconds] == [1, 0, 0]
    assert seconds[2].by_version == {"1.1": 1}
    assert seconds[1].latency(0.5) is None
    assert Record([]).seconds() == []


def test_failures_are_counted_by_kind() -> None:
    record = Record([request(1.0, code=500), request(2.0, code=500), request(3.0)])

    assert record.failures_by_kind() == {"GET 500 no answer (version 1.0)": 2}


def test_the_same_error_of_two_urls_is_one_kind() -> None:
    record = Record(
        Request(
            at=0.0,
            latency=1.0,
            code=0,
            version=None,
            error=f'Get "http://x/{number}/": context deadline exceeded',
        )
        for number in range(2)
    )

    assert record.failures_by_kind() == {"GET 0 context deadline exceeded (version None)": 2}


@pytest.mark.parametrize(("share", "expected"), [(0.5, 5), (0.95, 10), (1.0, 10), (0.0, 1)])
def test_a_quantile_is_a_value_that_occurred(share: float, expected: float) -> None:
    assert quantile([float(value) for value in range(1, 11)], share) == expected


def test_nothing_has_no_quantile() -> None:
    assert quantile([], 0.5) is None
