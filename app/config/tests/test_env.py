from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.env import Environment


@pytest.mark.parametrize(
    ("values", "read", "sentence"),
    [
        ({}, lambda e: e.text("DB_HOST"), "DB_HOST is not set"),
        ({"DB_HOST": ""}, lambda e: e.text("DB_HOST"), "DB_HOST is not set"),
        (
            {"KEY": "short"},
            lambda e: e.text("KEY", shortest=32),
            "KEY must have at least 32 characters, found 5",
        ),
        (
            {"N": "x"},
            lambda e: e.integer("N", 1, least=1, most=9),
            "N must be a whole number from 1 to 9, found 'x'",
        ),
        ({"N": "10"}, lambda e: e.integer("N", 1, least=1, most=9), "N must be a whole number"),
        ({"N": "²"}, lambda e: e.integer("N", 1, least=1, most=9), "N must be a whole number"),
        ({"B": "yes"}, lambda e: e.boolean("B", default=False), "B must be true or false, found 'yes'"),
        ({"L": "LOUD"}, lambda e: e.choice("L", "INFO", ("INFO",)), "L must be one of INFO, found 'LOUD'"),
        *(
            (
                {"R": rate},
                lambda e: e.rate("R", "1/day"),
                "R must be a number of requests per second, minute, hour, day, like 10/minute, found",
            )
            for rate in ("10", "0/minute", "10/week", "-1/day", "10 / minute", "10/minute\n")
        ),
        ({"S_FILE": "/nowhere"}, lambda e: e.text("S"), "S_FILE names '/nowhere', which cannot be read"),
        (
            {"CA": "/nowhere"},
            lambda e: e.file("CA"),
            r"CA is '/nowhere', which cannot be read \(FileNotFound",
        ),
        (
            {"U": "mysql://crm:secret@db"},  # pragma: allowlist secret
            lambda e: e.postgresql("U"),
            r"U must be like postgresql://USER:PASSWORD\S+/NAME; what is set is not\.$",
        ),
        ({"S_FILE": "/nowhere", "S": "x"}, lambda e: e.text("S"), "S and S_FILE are both set"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(
    values: dict[str, str], read: Callable[[Environment], object], sentence: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match="^" + sentence.replace("²", "")):
        read(Environment(values))


def test_values_are_typed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    uri = "postgresql://crm:s3cr%2Fet@db.example.com:5433/sales"  # pragma: allowlist secret
    env = Environment(
        {
            "U": uri,
            "CA": str(secret),
            "N": "7",
            "B": "True",
            "W": "a, b,,c",
            "R": "200/minute",
            "S_FILE": str(secret),
        }
    )
    assert env.integer("N", 1, least=1, most=9) == 7
    assert env.integer("MISSING", 3, least=1, most=9) == 3
    assert env.boolean("B", default=False) is True
    assert env.boolean("MISSING", default=True) is True
    assert env.words("W") == ["a", "b", "c"]
    assert env.words("MISSING", "") == []
    assert env.text("S") == "from a file"
    assert (env.file("CA"), env.file("MISSING")) == (str(secret), "")
    parts = {
        "user": "crm",
        "password": "s3cr/et",
        "host": "db.example.com",
        "port": "5433",
        "dbname": "sales",
    }
    assert (env.postgresql("U"), env.postgresql("MISSING")) == (parts, {})
    assert env.rate("R", "5/day") == (200, 60)
    assert env.rate("MISSING", "5/day") == (5, 24 * 3600)
    assert env.choice("MISSING", "INFO", ("INFO",)) == "INFO"
