"""Who comes in, and what of the caller's headers goes on to the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_multimodal.errors import EnvironmentProblem, InvalidInput
from opensearch_multimodal.service import check_exposure, read_tokens
from opensearch_multimodal.service.refusal import Refusal
from opensearch_multimodal.service.security import identify

TOKEN, NEXT = "0123456789abcdef", "fedcba9876543210"
BASIC = "Basic dTpw"


@pytest.mark.parametrize(
    ("headers", "passed_on"),
    [
        ({"x-multimodal-token": TOKEN}, None),
        ({"x-multimodal-token": NEXT}, None),
        ({"x-multimodal-token": TOKEN, "authorization": BASIC}, BASIC),
        ({"x-multimodal-token": TOKEN, "authorization": "Bearer of.the.cluster"}, "Bearer of.the.cluster"),
        ({"authorization": f"Bearer {TOKEN}"}, None),
        ({"authorization": f"bearer  {TOKEN}"}, None),
    ],
)
def test_the_token_opens_and_is_not_passed_on(headers: dict[str, str], passed_on: str | None) -> None:
    assert identify(headers, (TOKEN, NEXT)).authorization == passed_on


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": BASIC},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Basic {TOKEN}"},
        {"x-multimodal-token": ""},
        {"x-multimodal-token": TOKEN[:-1]},
        {"x-multimodal-token": TOKEN.upper()},
        {"x-multimodal-token": "täuschend echt"},
        {"x-multimodal-token": "wrong", "authorization": f"Bearer {TOKEN}"},
    ],
)
def test_anything_else_does_not(headers: dict[str, str]) -> None:
    with pytest.raises(Refusal) as refused:
        identify(headers, (TOKEN,))
    assert (refused.value.status, refused.value.kind) == (401, "unauthorized")
    assert TOKEN not in str(refused.value)


def test_without_a_token_everything_of_the_callers_is_passed_on() -> None:
    assert identify({"authorization": "Bearer of.the.cluster"}, ()).authorization == "Bearer of.the.cluster"
    assert identify({}, ()).authorization is None


def test_a_web_page_needs_a_token() -> None:
    with pytest.raises(Refusal) as refused:
        identify({"origin": "http://rebound.example"}, ())
    assert refused.value.status == 403
    identify({"origin": "http://rebound.example", "x-multimodal-token": TOKEN}, (TOKEN,))


def test_a_token_file_may_hold_two_tokens_for_a_change(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n\n {NEXT} \n")
    assert read_tokens(path, "from the environment") == (TOKEN, NEXT)
    assert read_tokens(None, f"{TOKEN}\n") == (TOKEN,)
    assert read_tokens(None, None) == ()


@pytest.mark.parametrize("content", ["", "\n", "short", "0123456789 abcdef", "0123456789abcdefä"])
def test_a_token_that_protects_nothing_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(InvalidInput, match="token"):
        read_tokens(path, None)


def test_an_empty_variable_is_a_mistake_and_not_an_open_door() -> None:
    with pytest.raises(InvalidInput, match="0 characters"):
        read_tokens(None, "")


def test_a_token_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot be read"):
        read_tokens(tmp_path / "missing", None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1"])
def test_loopback_needs_no_token(host: str) -> None:
    check_exposure(host, (), allow_anonymous=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_the_network_needs_one(host: str) -> None:
    with pytest.raises(InvalidInput, match="--allow-anonymous"):
        check_exposure(host, (), allow_anonymous=False)
    check_exposure(host, (TOKEN,), allow_anonymous=False)
    check_exposure(host, (), allow_anonymous=True)
