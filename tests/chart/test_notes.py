"""What a person reads after `helm install`."""

from tests.chart.rendering import notes


def test_the_notes_name_the_daily_commands_and_the_hosts() -> None:
    text = notes()
    assert text.startswith("CRM 1.1 in dev (rolling-update: 100 % of the traffic).")
    for command in ("get rollout crm -n crm-dev --watch", "promote crm -n crm-dev", "abort crm -n crm-dev"):
        assert f"kubectl argo rollouts {command}" in text
    assert "crm.example.com   api.example.com   app.example.com" in text


def test_the_notes_speak_of_generated_secrets_only_where_there_are_some() -> None:
    assert "crm-secrets was generated" in notes()
    assert "generated" not in notes({"secrets": {"create": False, "existingSecret": "crm-secrets"}})
