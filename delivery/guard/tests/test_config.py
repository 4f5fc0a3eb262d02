"""What the environment variables of `delivery guard` and `delivery verdicts` mean, and which are refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from delivery.errors import Refused
from delivery.guard.config import GuardConfig, registries_from

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


def test_without_variables_the_guard_watches_all_environments_and_does_nothing_more() -> None:
    assert GuardConfig.read({}) == GuardConfig(
        ("dev", "staging", "production"), port=None, prometheus="", channels={}
    )


def test_each_variable_is_read() -> None:
    config = GuardConfig.read(
        {
            "DELIVERY_ENVIRONMENTS": "dev,qa",
            "DELIVERY_PORT": "8080",
            "DELIVERY_PROMETHEUS": "http://prometheus:9090/",
            "DELIVERY_PROMOTIONS": "dev>qa=15m",
        }
    )
    assert (config.environments, config.port, config.prometheus) == (
        ("dev", "qa"),
        8080,
        "http://prometheus:9090",
    )
    assert [each.soak for each in config.promotions] == [timedelta(minutes=15)]


@pytest.mark.parametrize("variable", ["DELIVERY_NOTIFICATIONS", "DELIVERY_PEOPLE"])
def test_channels_are_named_by_a_folder_whose_variable_had_another_name(
    tmp_path: Path, variable: str
) -> None:
    (tmp_path / "slack-url").write_text("https://hooks.example.com/secret")
    assert list(GuardConfig.read({variable: str(tmp_path)}).channels) == ["Slack"]


def test_the_key_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "public.pem"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    file.write_bytes(KEY.public_bytes(serialization.Encoding.PEM, form))
    config = GuardConfig.read({"DELIVERY_SCAN_KEY": str(file)})
    assert (config.key, config.sbom_key) == (KEY, None)


@pytest.mark.parametrize("text", [None, "no key"])
def test_a_key_that_cannot_be_used_is_refused_by_the_variables_name(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "public.pem"
    if text:
        file.write_text(text)
    with pytest.raises(Refused, match=r"DELIVERY_SCAN_KEY names .*public\.pem, which cannot be used: "):
        GuardConfig.read({"DELIVERY_SCAN_KEY": str(file)})


def test_registries_are_pairs() -> None:
    text = "localhost:30500=http://registry.forge.svc:5000/,registry.example.com=https://10.0.0.1"
    assert registries_from(text) == {
        "localhost:30500": "http://registry.forge.svc:5000",
        "registry.example.com": "https://10.0.0.1",
    }
    assert registries_from("") == {}


@pytest.mark.parametrize("text", ["localhost:30500", "=http://a", "a=ftp://b", "a=http://b,c"])
def test_registries_that_are_none_are_refused_by_the_variables_name(text: str) -> None:
    with pytest.raises(Refused, match="DELIVERY_REGISTRIES must be HOST="):
        registries_from(text)
