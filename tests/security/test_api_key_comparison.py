"""API keys are compared in constant time, and there is no default key anywhere (CVE-2020-13945)."""

from __future__ import annotations

import statistics
import string
import time

import pytest

from tests.support import configs
from tests.support.api_keys import KeyFile


@pytest.fixture
def shop(gateway, origin, tmp_path):
    keys, service = KeyFile(tmp_path), origin()
    key = keys.add("partner")
    return gateway(configs.with_keys(service, keys)), service, key


def test_every_single_wrong_character_is_refused(shop):
    gate, service, key = shop
    with gate.connect() as wire:
        for position, character in enumerate(key):
            other = "b" if character != "b" else "c"
            spoilt = key[:position] + other + key[position + 1 :]
            answer = wire.ask(target="/closed", headers={"X-Api-Key": spoilt})
            assert answer.status == 401, position
            assert answer.reason in ("api_key_unknown", "credential_malformed")
    assert service.saw_nothing()


@pytest.mark.parametrize(
    "guess",
    [
        "edd1c9f034335f136f87ad84b625c8f1",
        "admin",
        "yett",
        "yett_",
        "yett__",
        "default",
        "test",
        "0" * 62,
        "null",
        "\x00",
        "yett_000000000000_" + "0" * 49,
        "yett_admin",
        "A" * 5000,
        "%00",
        "*",
        "' or 1=1 --",
        "yett_" + "a" * 12 + "_",
    ],
)
def test_no_default_key(shop, guess):
    gate, service, _ = shop
    answer = gate.get("/closed", {"X-Api-Key": guess}) if "\x00" not in guess else None
    if answer is not None:
        assert answer.status == 401
        assert answer.reason in ("api_key_unknown", "credential_malformed", "token_too_large")
    assert service.saw_nothing()


def test_case_blanks_and_parts_do_not_matter_less(shop):
    gate, service, key = shop
    for guess in (
        key.upper(),
        key.lower(),
        key[:-1],
        key + "A",
        key + key,
        key[:20],
        key.replace("_", "-"),
        f"{key},{key}",
        f"{key} {key}",
        f"Bearer {key}",
        f'"{key}"',
    ):
        if guess != key:
            assert gate.get("/closed", {"X-Api-Key": guess}).status == 401, guess
    assert service.saw_nothing()
    assert gate.get("/closed", {"X-Api-Key": key}).status == 200


def test_a_right_checksum_opens_nothing(gateway, origin, tmp_path):
    """The checksum is for leak scanners; only the hash decides."""
    keys, service = KeyFile(tmp_path), origin()
    key = keys.add("partner")
    gate = gateway(configs.with_keys(service, keys))
    forged = keys.assemble(key.split("_")[1], "Z" * 43)
    assert gate.get("/closed", {"X-Api-Key": forged}).reason == "api_key_unknown"
    assert service.saw_nothing()


def test_known_and_unknown_ids_take_the_same_time(shop):
    """No oracle for ids or prefixes: medians of interleaved rounds lie close together."""
    gate, service, key = shop
    _, identifier, rest = key.split("_")
    keys = KeyFile.assemble
    guesses = {
        "first character right": keys(identifier, rest[:1] + "Z" * 42),
        "all but one right": keys(identifier, rest[:42] + ("Z" if rest[42] != "Z" else "Y")),
        "unknown id": keys("zzzzzzzzzzzz", "Z" * 43),
    }
    times: dict[str, list[float]] = {name: [] for name in guesses}
    with gate.connect() as wire:
        for _ in range(150):
            for name, guess in guesses.items():
                start = time.perf_counter()
                assert wire.ask(target="/closed", headers={"X-Api-Key": guess}).status == 401
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    assert max(medians.values()) - min(medians.values()) < 0.001, medians
    assert service.saw_nothing()


def test_two_keys_are_ambiguous(shop):
    gate, service, key = shop
    for second in (key, "yett_other"):
        answer = gate.get("/closed", [("X-Api-Key", key), ("X-Api-Key", second)])
        assert (answer.status, answer.reason) == (401, "credential_ambiguous")
    assert service.saw_nothing()


def test_alphabet_of_keys(tmp_path):
    """The text that `yett keys create` hands out and this suite's own agree on the form."""
    key = KeyFile(tmp_path).add("partner")
    assert key.startswith("yett_")
    assert set(key) <= set(string.ascii_letters + string.digits + "_")
