"""What checkers get to see of the chart is what runs."""

from __future__ import annotations

from pathlib import Path

from pipeline import rendered

ROLLOUT = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "crm"},
    "spec": {"replicas": 4},
}


def test_a_rollout_is_seen_as_the_deployment_that_it_is() -> None:
    seen = rendered.as_known(ROLLOUT, "crm-staging")
    assert (seen["apiVersion"], seen["kind"], seen["spec"]) == ("apps/v1", "Deployment", ROLLOUT["spec"])
    assert seen["metadata"] == {"namespace": "crm-staging", "name": "crm"}


def test_anything_else_keeps_its_kind_and_a_namespace_of_its_own() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "crm", "namespace": "elsewhere"}}
    assert rendered.as_known(service, "crm-staging") == service


def test_an_image_recipe_names_its_base() -> None:
    recipe = "ARG BASE=example.com/python:3.11\nFROM ${BASE}\n"
    assert rendered.with_base(recipe).endswith("FROM example.com/python:3.11\n")
    assert rendered.with_base("FROM scratch\n") == "FROM scratch\n"


def test_what_serves_nobody_is_left_out() -> None:
    assert {*rendered.SETTINGS} == {"staging", "production", "eks-nginx"}
    for name in rendered.SETTINGS:
        kinds = {each["kind"] for each in rendered.objects(Path("charts/crm"), name)}
        assert "Deployment" in kinds
        assert not {"Pod", "StatefulSet"} & kinds


def test_a_chart_that_cannot_be_rendered_is_told(tmp_path: Path) -> None:
    assert rendered.main(tmp_path / "no-chart", tmp_path / "out") == 1
