import json
import stat

import pytest
from django.core.management import CommandError, call_command

from detection.models import AnalysisJob, Submission
from inference_worker.decoding.sniff import sniff
from kilinda.demo import accounts, content
from kilinda.partners import keys
from kilinda.partners.models import Member, Organisation, Role, User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def home(settings, tmp_path):
    settings.KILINDA_HOME = tmp_path
    settings.MEDIA_ROOT = tmp_path / "files"
    return tmp_path


def printed(capsys, *command: str) -> str:
    call_command(*command)
    return capsys.readouterr().out


def test_it_makes_a_desk_a_partner_people_and_a_key(home):
    call_command("demo")
    kept = json.loads((home / "credentials.json").read_text())
    roles = dict(Member.objects.values_list("user__username", "role"))
    assert roles == {
        "admin": Role.ADMINISTRATOR,
        "reviewer": Role.REVIEWER,
        "reviewer2": Role.REVIEWER,
        "senior": Role.SENIOR_REVIEWER,
    }
    for account in roles:
        assert User.objects.get(username=account).check_password(kept[account]["password"])
    assert keys.find(kept["api_key"]).organisation.name == "Uchaguzi Watch"
    assert Organisation.objects.get(is_operator=True).name == "Kilinda Desk"


def test_only_the_administrator_enters_the_back_office(home):
    call_command("demo")
    assert list(User.objects.filter(is_staff=True).values_list("username", flat=True)) == ["admin"]


def test_the_credentials_are_for_their_owner_only(home):
    call_command("demo")
    assert stat.S_IMODE((home / "credentials.json").stat().st_mode) == 0o600


def test_a_second_start_changes_nothing(home):
    call_command("demo")
    before = (home / "credentials.json").read_text()
    call_command("demo")
    assert (home / "credentials.json").read_text() == before
    assert (User.objects.count(), Organisation.objects.count()) == (4, 2)


def test_two_installations_have_different_passwords(settings, home):
    call_command("demo")
    first = accounts.credentials()
    User.objects.all().delete()
    settings.KILINDA_HOME = home / "other"
    settings.KILINDA_HOME.mkdir()
    call_command("demo")
    assert accounts.credentials()["admin"]["password"] != first["admin"]["password"]


def test_a_lost_file_gives_new_passwords_that_work(home):
    call_command("demo")
    (home / "credentials.json").unlink()
    call_command("demo")
    kept = accounts.credentials()
    assert User.objects.get(username="reviewer").check_password(kept["reviewer"]["password"])
    assert keys.find(kept["api_key"])


def test_a_new_database_takes_the_kept_passwords(home):
    call_command("demo")
    before = accounts.credentials()
    User.objects.all().delete()
    call_command("demo")
    after = accounts.credentials()
    assert after["admin"] == before["admin"]
    assert User.objects.get(username="admin").check_password(before["admin"]["password"])


def test_a_revoked_key_is_replaced(home):
    call_command("demo")
    first = accounts.credentials()["api_key"]
    keys.revoke(keys.find(first))
    call_command("demo")
    assert keys.find(accounts.credentials()["api_key"])


def test_it_submits_all_four_kinds_once(home):
    call_command("demo", "--submit")
    call_command("demo", "--submit")
    kinds = Submission.objects.values_list("content_type", flat=True)
    assert set(kinds) == {"text", "audio", "image", "video"}
    assert len(kinds) == len(content.CONTENT) == AnalysisJob.objects.count()


def test_every_sample_file_is_what_its_name_says():
    files = [content.SAMPLES / sample.file for sample in content.CONTENT if sample.file]
    kinds = {path.name: sniff(path.read_bytes()[:4096]).modality.value for path in files}
    assert kinds == {
        "landscape.jpg": "image",
        "pattern.png": "image",
        "computer-voice-sw.ogg": "audio",
        "pan.mp4": "video",
    }


def test_credentials_are_printed_as_the_contract_says(home, capsys, monkeypatch):
    monkeypatch.setenv("KILINDA_PORT", "8123")
    call_command("demo")
    capsys.readouterr()
    told = json.loads(printed(capsys, "credentials", "--json"))
    assert told["base_url"] == "http://127.0.0.1:8123"
    assert set(told["admin"]) == set(told["reviewer"]) == {"username", "password"}
    assert keys.find(told["api_key"])


def test_credentials_for_people_name_every_account(home, capsys):
    call_command("demo")
    capsys.readouterr()
    table = printed(capsys, "credentials")
    for person in accounts.PEOPLE:
        assert accounts.credentials()[person.account]["password"] in table


def test_credentials_before_the_demo_say_what_to_do():
    with pytest.raises(CommandError, match=r"manage\.py demo"):
        call_command("credentials")
