"""Which URLs may be fetched, judged by their text and by their address."""

import ipaddress

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from detection.addresses import check_address, check_url, is_public
from detection.errors import URLNotAllowed

FORBIDDEN = [
    "ftp://example.org/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "gopher://example.org/",
    "//example.org/",
    "example.org",
    "",
    "http://",
    "http:///path",
    "http://a@127.0.0.1/",
    "http://user:password@example.org/",
    "http://example.org@127.0.0.1/",
    "http://127.0.0.1/",
    "http://2130706433/",  # decimal
    "http://0x7f000001/",  # hex
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",  # octal
    "http://017700000001/",
    "http://127.1/",  # short
    "http://127.0.1/",
    "http://0/",
    "http://127.0.0.1./",
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",  # full-width digits
    "http://127。0。0。1/",  # ideographic full stops
    "http://①②⑦.⓪.⓪.①/",
    "http://127%2e0%2e0%2e1/",
    "http://08.8.8.8/",
    "http://8.8.8.8.8/",
    "http://1.2.3.0x4/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[64:ff9b::7f00:1]/",  # NAT64
    "http://[2002:7f00:1::]/",  # 6to4
    "http://[2001:0:53aa:64c::1]/",  # Teredo
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fc00::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[::127.0.0.1]/",
    "http://[::1",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://192.0.0.8/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://0.0.0.0/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://a.localhost/",
    "http://printer.local/",
    "http://metadata.google.internal/",
    "http://intranet/",
    "http://example.org:22/",
    "http://example.org:0/",
    "http://example.org:99999/",
    "http://example.org:abc/",
    "http://exam ple.org/",
    "http://example.org/a b",
    "http://example.org/\r\nHost: evil",
    "http://example.org\\@127.0.0.1/",
    "http://example.org\t/",
    "http://exa_mple..org/",
    "http://-/",
    "https://example.org/" + "a" * 2048,
]


@pytest.mark.parametrize("url", FORBIDDEN)
def test_a_forbidden_url_is_refused_by_its_text(url):
    with pytest.raises(URLNotAllowed) as refusal:
        check_url(url)
    assert refusal.value.field == "url"


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://example.org", "https://example.org/"),
        ("HTTPS://Example.ORG:443/a?b=c#d", "https://example.org/a?b=c"),
        ("http://8.8.8.8:8080/", "http://8.8.8.8:8080/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
        ("https://bücher.example.org/ü", "https://xn--bcher-kva.example.org/%C3%BC"),
        ("https://example.org/%20a", "https://example.org/%20a"),
    ],
)
def test_a_public_url_is_normalised(url, normal):
    assert check_url(url).url == normal


@pytest.mark.parametrize("address", ["8.8.8.8", "41.90.0.1", "2606:4700::1111"])
def test_public_addresses_are_public(address):
    assert is_public(ipaddress.ip_address(address))


def test_an_allowed_network_may_be_reached_at_any_port(settings):
    settings.KILINDA_FETCH_ALLOW = ["127.0.0.0/8"]
    check_address(ipaddress.ip_address("127.0.0.1"), 12345)
    with pytest.raises(URLNotAllowed):
        check_address(ipaddress.ip_address("10.0.0.1"), 80)


def test_a_deployment_check_refuses_allowed_networks(settings):
    settings.KILINDA_FETCH_ALLOW = ["127.0.0.0/8"]
    call_command("check")
    with pytest.raises(SystemCheckError, match="KILINDA_FETCH_ALLOW"):
        call_command("check", deploy=True)


def test_a_check_names_what_is_no_network(settings):
    settings.KILINDA_FETCH_ALLOW = ["all"]
    with pytest.raises(SystemCheckError, match="KILINDA_FETCH_ALLOW"):
        call_command("check")
