import hmac
import os
import socket

import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.serving import keys as module
from kedro_mlops.serving.keys import LOOK_SECONDS, ApiKeys, listening, refuse_if_open

ONE, TWO, THREE = (f"{name}-key-of-16-characters".encode() for name in ("one", "two", "three"))


def bearer(key):
    return b"Bearer " + key


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys"
    path.write_bytes(b"# the keys\n" + ONE + b"\n\n  " + TWO + b"  \n")
    os.utime(path, ns=(1, 1))
    return path


def known(keys):
    return [key for key in (ONE, TWO, THREE) if keys.knows(bearer(key))]


def test_there_may_be_several_keys():
    keys = ApiKeys(f"{ONE.decode()}, {THREE.decode()},", None)

    assert keys.needed
    assert known(keys) == [ONE, THREE]


def test_keys_of_text_and_file_add_up(file):
    assert known(ApiKeys(THREE.decode(), file)) == [ONE, TWO, THREE]


@pytest.mark.parametrize(
    "given",
    [None, b"", b"Bearer", b"Bearer ", ONE, b"Basic " + ONE, bearer(ONE[:-1]), bearer(ONE + b"x"),
     b"Bearer\xff" + ONE, bearer(b"# the keys")],
)  # fmt: skip
def test_anything_else_is_no_key(file, given):
    assert not ApiKeys("", file).knows(given)


@pytest.mark.parametrize("given", [b"bearer " + ONE, b"BEARER  " + ONE, bearer(ONE) + b" "])
def test_a_key_may_be_sent_as_http_allows(file, given):
    assert ApiKeys("", file).knows(given)


def test_every_key_is_compared_in_constant_time_even_after_one_was_found(file, monkeypatch):
    compared = []
    compare = hmac.compare_digest

    def watched(one, other):
        compared.append((one, other))
        return compare(one, other)

    keys = ApiKeys(THREE.decode(), file)
    monkeypatch.setattr(module.hmac, "compare_digest", watched)

    assert keys.knows(bearer(THREE))
    assert len({other for _, other in compared}) == 3
    assert all(ONE not in one + other for one, other in compared)


def test_a_file_that_changes_is_read_again_after_a_while(file, clock):
    keys = ApiKeys("", file, clock)
    known(keys)
    file.write_bytes(TWO + b"\n" + THREE)

    at_once = known(keys)
    clock.now += LOOK_SECONDS
    later = known(keys)

    assert (at_once, later) == ([ONE, TWO], [TWO, THREE])


@pytest.mark.parametrize("content", [b"", b"# none\n", b"short\n", b"\xff\xfe", None])
def test_a_file_that_became_bad_leaves_the_keys_as_they_were(file, clock, caplog, content):
    keys = ApiKeys("", file, clock)
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    clock.now += LOOK_SECONDS

    assert known(keys) == [ONE, TWO]
    assert "stay as they were" in caplog.text
    assert ONE.decode() not in caplog.text


def test_a_file_that_was_bad_and_is_good_again_is_read(file, clock):
    keys = ApiKeys("", file, clock)
    file.write_bytes(b"short")
    clock.now += LOOK_SECONDS
    known(keys)
    file.write_bytes(THREE)
    clock.now += LOOK_SECONDS

    assert known(keys) == [THREE]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# none\n", None])
def test_a_service_does_not_start_with_a_file_without_keys(tmp_path, content):
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ProjectError, match="API_KEYS_FILE"):
        ApiKeys("", path)


def test_a_key_that_is_too_short_is_refused_and_not_shown(tmp_path):
    (tmp_path / "keys").write_text("fifteen-letters")

    for text, path in (("fifteen-letters", None), ("", tmp_path / "keys")):
        with pytest.raises(ProjectError, match=r"fewer than 16.*token_urlsafe") as refused:
            ApiKeys(text, path)
        assert "fifteen" not in str(refused.value)


@pytest.fixture(params=[("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)], ids=["IPv4", "IPv6"])
def open_socket(request):
    host, family = request.param
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("there is no IPv6 here")
    with listener:
        yield host


def test_without_keys_an_address_that_others_reach_is_refused(open_socket):
    with pytest.raises(ProjectError, match=f"listens on {open_socket}.*API_KEYS.*--host 127"):
        refuse_if_open(ApiKeys("", None), listening())


def test_with_keys_it_may_be_reached(open_socket):
    refuse_if_open(ApiKeys(ONE.decode(), None), listening())


def test_without_keys_this_machine_may_ask():
    with socket.create_server(("127.0.0.1", 0)):
        assert "127.0.0.1" in listening()
        refuse_if_open(ApiKeys("", None), listening())
