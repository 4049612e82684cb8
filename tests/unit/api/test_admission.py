import pytest

from core_api.admission import Admission
from core_api.problems import Problem


def test_bytes_are_given_back_when_the_request_ends() -> None:
    admission = Admission(max_bytes=10, max_requests=5)

    for _ in range(3):
        with admission.admit("a") as ticket:
            ticket.hold(6)
            ticket.hold(4)
            with pytest.raises(Problem) as caught, admission.admit("b") as other:
                other.hold(1)
            assert caught.value.type.status == 503


def test_request_that_fails_gives_everything_back() -> None:
    admission = Admission(max_bytes=10, max_requests=1)

    def fail() -> None:
        with admission.admit("a") as ticket:
            ticket.hold(10)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with admission.admit("a") as ticket:
        ticket.hold(10)


def test_requests_are_counted_for_each_key() -> None:
    admission = Admission(max_bytes=10, max_requests=2)

    with admission.admit("a"), admission.admit("a"), admission.admit("b"):
        with pytest.raises(Problem) as caught, admission.admit("a"):
            pass
        assert caught.value.type.status == 429
        assert caught.value.headers["retry-after"] == "1"
    with admission.admit("a"):
        pass


def test_nothing_is_remembered_of_keys_without_requests() -> None:
    admission = Admission(max_bytes=10, max_requests=2)

    with admission.admit("a"):
        assert len(admission._requests) == 1
    assert len(admission._requests) == 0
