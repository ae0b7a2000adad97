"""What stands for one client when attempts are counted."""

import pytest

from api import clients


@pytest.mark.parametrize(
    ("host", "who"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", None),
        ("testclient", None),
        ("192.0.2.256", None),
    ],
)
def test_an_ipv4_address_stands_for_itself_and_an_ipv6_one_for_its_network(
    host: str, who: str | None
) -> None:
    assert clients.who(host) == who


def test_outside_of_a_request_there_is_no_address() -> None:
    assert clients.address() is None
