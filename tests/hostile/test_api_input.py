"""Hostile JSON, headers and forms: always problem+json, never 5xx, never a traceback."""

import gzip
import json
import time

import pytest
from django.test import Client

from detection.models import Submission
from tests.detection.api.conftest import FORM, Partner, form, partner  # noqa: F401 - a fixture
from tests.factories import picture_bytes

SURROGATE = b'{"text": "\\ud800"}'
DEEP = b'{"metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b', "text": "x"}'
DEEP_OBJECTS = b'{"text": "x", "metadata": ' + b'{"a":' * 900 + b"1" + b"}" * 901

BAD_JSON = {
    "NUL in a value": b'{"text": "a\\u0000b"}',
    "NUL in a key": b'{"text": "x", "metadata": {"a\\u0000": 1}}',
    "lone surrogate in a value": SURROGATE,
    "lone surrogate in a key": b'{"text": "x", "metadata": {"\\udfff": 1}}',
    "a hundred thousand nested arrays": DEEP,
    "nested objects": DEEP_OBJECTS,
    "a duplicate key": b'{"text": "a", "text": "b"}',
    "a duplicate key deep down": b'{"text": "a", "metadata": {"x": [{"a": 1, "a": 2}]}}',
    "nothing": b"",
    "only spaces": b"   ",
    "NaN": b'{"text": "x", "metadata": {"a": NaN}}',
    "infinity": b'{"text": "x", "metadata": {"a": -Infinity}}',
    "a number beyond floats": b'{"text": "x", "metadata": {"a": 1e999}}',
    "an integer of 5000 digits": b'{"text": "x", "metadata": {"a": ' + b"9" * 5000 + b"}}",
    "an integer beyond 64 bits": b'{"text": "x", "metadata": {"a": 9223372036854775808}}',
    "bad UTF-8": b'{"text": "\xff\xfe"}',
    "a byte order mark": b'\xef\xbb\xbf{"text": "x"}',
    "UTF-16": '{"text": "x"}'.encode("utf-16"),
    "a list": b"[]",
    "null": b"null",
    "a string": b'"text"',
    "two values": b'{"text": "x"} {"text": "y"}',
    "a cut body": b'{"text": "x',
    "a raw control character": b'{"text": "a\x01"}',
    "text that is a number": b'{"text": 5}',
    "text that is a list": b'{"text": ["x"]}',
    "text that is null": b'{"text": null}',
    "text and url": b'{"text": "x", "url": "https://example.org/"}',
    "neither text nor url": b'{"language": "sw"}',
    "an unknown field": b'{"text": "x", "colour": "red"}',
    "a read-only field": b'{"text": "x", "risk_level": "low"}',
    "another's organisation": b'{"text": "x", "partner": "someone"}',
    "a bad language": b'{"text": "x", "language": "sw_KE"}',
    "a language of 1 MB": b'{"text": "x", "language": "' + b"a-" * 500_000 + b'"}',
    "an unknown priority": b'{"text": "x", "priority": 0}',
    "a content type that is a list": b'{"text": "x", "content_type": []}',
    "metadata that is a list": b'{"text": "x", "metadata": []}',
    "metadata over 16 kB": b'{"text": "x", "metadata": {"a": "' + b"x" * 17_000 + b'"}}',
    "metadata nested too deep": b'{"text": "x", "metadata": ' + b'{"a":' * 12 + b"1" + b"}" * 13,
    "a URL of 1 MB": b'{"url": "https://example.org/' + b"a" * 1_000_000 + b'"}',
}


def assert_problem(answer, status: int) -> dict:
    """The answer is a problem of this status that shows nothing of the program."""
    assert answer.status_code == status, answer.content[:500]
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "code", "detail", "errors", "request_id"}
    assert problem["status"] == status
    assert problem["request_id"] == answer["X-Request-ID"]
    assert "Traceback" not in answer.content.decode()
    assert len(answer.content) < 5_000
    assert not Submission.objects.exists()
    return problem


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_is_refused_quickly(partner, name):  # noqa: F811
    began = time.monotonic()
    answer = partner.submit(BAD_JSON[name])
    assert time.monotonic() - began < 2
    assert_problem(answer, 400)


def test_an_unknown_and_a_read_only_field_are_both_named(partner):  # noqa: F811
    problem = assert_problem(partner.submit({"text": "x", "state": "done", "colour": "red"}), 400)
    assert {(error["field"], error["code"]) for error in problem["errors"]} == {
        ("state", "read_only"),
        ("colour", "unknown_field"),
    }


def test_the_metadata_limits_are_named(partner):  # noqa: F811
    large = assert_problem(partner.submit(BAD_JSON["metadata over 16 kB"]), 400)
    assert (large["errors"][0]["field"], "16384" in large["errors"][0]["detail"]) == (
        "metadata",
        True,
    )
    deep = assert_problem(partner.submit(BAD_JSON["metadata nested too deep"]), 400)
    assert "10 levels" in deep["errors"][0]["detail"]


def test_a_text_over_the_limit_is_413_naming_it(partner, settings):  # noqa: F811
    settings.KILINDA_MAX_TEXT_BYTES = 1000
    problem = assert_problem(partner.submit({"text": "é" * 501}), 413)
    assert (problem["errors"][0]["field"], "1000" in problem["detail"]) == ("text", True)


def test_thirty_megabytes_of_json_are_413(partner):  # noqa: F811
    assert_problem(partner.submit(b'{"text": "' + b"x" * 30_000_000 + b'"}'), 413)
    batch = partner.post("/api/v1/submissions/batch", b"[" + b" " * 30_000_000 + b"]")
    assert_problem(batch, 413)


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        ("", {}),
        ("application/xml", {}),
        ("text/plain", {}),
        ("application/x-www-form-urlencoded", {}),
        ("application/json; charset=bogus", {}),
        ("application/json; charset=utf-16", {}),
        ("application/json", {"Content_Encoding": "gzip"}),
        (f"{FORM}; charset=bogus", {}),
    ],
)
def test_a_type_or_coding_we_do_not_read_is_415(partner, content_type, headers):  # noqa: F811
    assert_problem(partner.submit(b'{"text": "x"}', content_type, **headers), 415)


def test_a_gzip_bomb_is_not_unpacked(partner):  # noqa: F811
    bomb = gzip.compress(b'{"text": "' + b"x" * 10_000_000 + b'"}')
    assert_problem(partner.submit(bomb, Content_Encoding="gzip"), 415)


@pytest.mark.parametrize("key", ["x" * 300, "", "tab\tin", "é"])
def test_an_unusable_idempotency_key_is_named(partner, key):  # noqa: F811
    problem = assert_problem(partner.submit({"text": "x"}, Idempotency_Key=key), 400)
    assert problem["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize("text", ["", "  \n\t ", "\u3000"])
def test_an_empty_text_is_422(partner, text):  # noqa: F811
    assert assert_problem(partner.submit({"text": text}), 422)["code"] == "empty_content"


def test_a_megabyte_of_zalgo_is_taken_word_for_word(partner):  # noqa: F811
    zalgo = "a" + "\u0301\u0489" * 249_000
    answer = partner.submit(json.dumps({"text": zalgo}, ensure_ascii=False).encode())
    assert answer.status_code == 202
    assert Submission.objects.get().text == zalgo


# --- Paths and methods ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nothing",
        "/api/v1/submissions/abc",
        "/api/v1/submissions/%00",
        "/v1/events/evt_1/status",
        "/v1/events/evt_%F0%9D%9F%98/status",
        "/v1/nothing",
    ],
)
def test_a_path_that_leads_nowhere_is_a_problem(partner, path):  # noqa: F811
    assert_problem(partner.get(path), 404)


def test_a_method_that_is_not_allowed_is_a_problem(partner):  # noqa: F811
    assert_problem(partner.client.delete("/api/v1/submissions"), 405)


def test_a_bad_host_is_a_problem(partner):  # noqa: F811
    assert_problem(partner.get("/api/v1/me", headers={"Host": "evil.example"}), 400)


def test_a_fault_of_the_program_shows_nothing_of_it(partner, monkeypatch):  # noqa: F811
    def broken(*_args, **_options):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("detection.intake.submit", broken)
    answer = partner.submit({"text": "x"})
    assert_problem(answer, 500)
    assert b"secret" not in answer.content


def test_a_forged_address_changes_nothing(db):
    answer = Client().get("/api/v1/me", headers={"X-Forwarded-For": "127.0.0.1"})
    assert_problem(answer, 401)


# --- Uploads -------------------------------------------------------------------------------------

SVG = (
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
)

UNKNOWN_FILES = {
    "SVG with a script": SVG,
    "EPS named .png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
    "HTML": b"<!doctype html><script>alert(1)</script>",
    "PDF": b"%PDF-1.7\n",
    "a zip": b"PK\x03\x04" + bytes(30),
    "a playlist of local files": b"#EXTM3U\nfile:///etc/passwd\n",
    "gzip": gzip.compress(b"x" * 1000),
    "noise": bytes(range(256)),
}


@pytest.mark.parametrize("name", UNKNOWN_FILES)
def test_a_file_of_no_known_kind_is_415(partner, name):  # noqa: F811
    problem = assert_problem(partner.upload(UNKNOWN_FILES[name], name="x.png"), 415)
    assert problem["errors"][0]["field"] == "file"


@pytest.mark.parametrize(
    ("name", "mime", "named"),
    [
        ("x.png", "audio/mpeg", "audio/mpeg"),
        ("x.mp3", "", ".mp3"),
        ("x.zip", "", ".zip"),
        ("x.html", "", ".html"),
        ("x.png", "image/jpeg", "image/jpeg"),
    ],
)
def test_a_declared_type_that_is_not_so_is_415_naming_both(partner, name, mime, named):  # noqa: F811
    problem = assert_problem(partner.upload(picture_bytes(), name=name, mime=mime), 415)
    assert named in problem["detail"]
    assert "image/png" in problem["detail"]


def test_a_declared_content_type_that_is_not_so_is_415(partner):  # noqa: F811
    answer = partner.upload(picture_bytes(), content_type="audio")
    assert assert_problem(answer, 415)["errors"][0]["field"] == "content_type"
    assert_problem(partner.submit({"text": "x", "content_type": "video"}), 415)


def test_an_empty_file_is_422(partner):  # noqa: F811
    assert assert_problem(partner.upload(b""), 422)["code"] == "empty_content"


def test_a_file_over_the_limit_is_413_naming_it(partner, settings):  # noqa: F811
    settings.KILINDA_MAX_UPLOAD_BYTES = 300_000
    for size in (300_001, 2_000_000):  # found out while streaming; seen from the length
        problem = assert_problem(partner.upload(picture_bytes() + bytes(size)), 413)
        assert any(limit in problem["detail"] for limit in ("300000", "500000"))


WHOLE = form(picture_bytes(), metadata="{}")


@pytest.mark.parametrize("kept", [len(WHOLE) - 5, len(WHOLE) // 2, 60, 3])
def test_a_form_cut_short_is_400(partner, kept):  # noqa: F811
    assert_problem(partner.submit(WHOLE[:kept], FORM), 400)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..",
        "\u202egnp.txe",
        "a\x00b",
        "C:\\x",
        "😀" * 100,
    ],
)
def test_a_file_name_is_dropped(partner, name):  # noqa: F811
    answer = partner.upload(picture_bytes(), name=name)
    assert answer.status_code == 202, answer.content


def test_1500_fields_are_refused(partner):  # noqa: F811
    answer = partner.upload(picture_bytes(), **{f"field{n}": "x" for n in range(1500)})
    assert assert_problem(answer, 400)["code"] == "too_many_fields"


BAD_FORMS = {
    "two files": form(picture_bytes())[: -len(b"--edge--\r\n")] + form(picture_bytes()),
    "a field twice": b'--edge\r\nContent-Disposition: form-data; name="language"\r\n\r\nsw\r\n'
    + form(picture_bytes(), language="en"),
    "metadata that is no JSON": form(picture_bytes(), metadata="{"),
    "metadata with NUL": form(picture_bytes(), metadata='{"a": "\\u0000"}'),
    "an unknown field": form(picture_bytes(), colour="red"),
    "no file": b'--edge\r\nContent-Disposition: form-data; name="text"\r\n\r\nx\r\n--edge--\r\n',
    "a file without a name": b'--edge\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n'
    b"--edge--\r\n",
    "nothing": b"--edge--\r\n",
    "bad base64": form(b"!").replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
}


@pytest.mark.parametrize("name", BAD_FORMS)
def test_a_bad_form_is_400(partner, name):  # noqa: F811
    assert_problem(partner.submit(BAD_FORMS[name], FORM), 400)


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=é", "; boundary=" + "x" * 201])
def test_a_form_without_a_good_boundary_is_400(partner, boundary):  # noqa: F811
    assert_problem(partner.submit(WHOLE, f"multipart/form-data{boundary}"), 400)


def test_a_field_of_ten_megabytes_is_413(partner):  # noqa: F811
    answer = partner.upload(picture_bytes(), metadata='{"a": "' + "x" * 10_000_000 + '"}')
    assert_problem(answer, 413)


# --- URLs ----------------------------------------------------------------------------------------


def test_a_url_that_may_not_be_fetched_is_422(partner):  # noqa: F811
    problem = assert_problem(partner.submit({"url": "http://2130706433/"}), 422)
    assert (problem["code"], problem["errors"][0]["field"]) == ("url_not_allowed", "url")


def test_a_reader_cannot_even_send_hostile_input(db):
    assert_problem(Partner(is_read_only=True).submit(SURROGATE), 403)
