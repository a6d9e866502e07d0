"""The OpenAPI document and its page."""

import json
import re

import jsonschema
import pytest
import yaml
from django.core.management import call_command
from django.test import Client

from tests import factories


@pytest.fixture(scope="module")
def schema() -> dict:
    return yaml.safe_load(Client().get("/api/schema/").content)


def test_the_document_is_valid_without_a_warning(capsys):
    call_command("spectacular", validate=True, fail_on_warn=True)
    assert "openapi: 3.1.0" in capsys.readouterr().out


def test_every_call_of_the_contract_is_described(schema):
    assert set(schema["paths"]) == {
        "/api/v1/submissions",
        "/api/v1/submissions/batch",
        "/api/v1/submissions/{submission_id}",
        "/api/v1/events",
        "/api/v1/me",
        "/v1/events/ingest",
        "/v1/events/{event_id}/status",
    }


def test_what_is_answered_is_what_the_document_says(partner, schema):
    unmeasured = {"grade": "unmeasured", "groups": [], "auc": None, "low": None, "high": None}
    result = factories.ResultFactory(
        job__submission__organisation=partner.organisation,
        reliability={"text": {**unmeasured, "n": None}},
    )
    path = partner.submit({"text": "x"}).json()["status_url"]
    answers = {
        "SubmissionOutput": [path, f"/api/v1/submissions/{result.job.submission_id}"],
        "SubmissionPageOutput": ["/api/v1/submissions"],
        "EventPageOutput": ["/api/v1/events"],
        "MeOutput": ["/api/v1/me"],
        "ProblemOutput": ["/api/v1/submissions?cursor=x"],
    }
    for name, paths in answers.items():
        rules = {"$ref": f"#/components/schemas/{name}", "components": schema["components"]}
        for each in paths:
            jsonschema.validate(partner.get(each).json(), rules)


def test_the_page_works_without_the_internet(db):
    page = Client().get("/api/docs/").content.decode()
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert links
    assert not [link for link in links if link.startswith(("http", "//"))]
    assert json.dumps("/api/schema/")[1:-1] in page
