from crm.authentication.models import User
from crm.deals.models import Deal, Pipeline, Stage
from rest_framework.test import APIClient


def test_a_new_deal_is_in_the_first_stage(api: APIClient, sales: Pipeline) -> None:
    answer = api.post("/api/v1/deals/", {"title": "Big one", "pipeline": sales.pk, "amount": "10.50"})
    assert answer.status_code == 201, answer.json()
    assert answer.json()["stage_name"] == "Lead"
