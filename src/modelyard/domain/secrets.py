"""What API keys look like: ``my_<8 hex digits>_<43 characters><6 characters>``, letters and digits only.

The first part tells keys apart at a glance, the second is 256 bits of chance, the last a checksum (CRC-32 of all before
it, in base 62), by which secret scanners, and our own log lines, know a key from other text.
"""

import re
import secrets
import zlib

PREFIX = "my"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHANCE = 43
_CHECK = 6
PATTERN = re.compile(rf"\b{PREFIX}_[0-9a-f]{{8}}_[0-9A-Za-z]{{{_CHANCE + _CHECK}}}\b")


def new_secret(key_id: str) -> str:
    """A key for the id, a UUID whose beginning it shows."""
    chance = "".join(secrets.choice(_DIGITS) for _ in range(_CHANCE))
    text = f"{PREFIX}_{key_id[:8]}_{chance}"
    return text + checksum(text)


def shown(secret: str) -> str:
    """As much of a key as may be shown; keys that an administrator chose show no more than their first letters."""
    return secret.rpartition("_")[0] if PATTERN.fullmatch(secret) else secret[:4]


def is_mistyped(text: str) -> bool:
    """Whether this has the form of a key, but not its checksum."""
    return PATTERN.fullmatch(text) is not None and checksum(text[:-_CHECK]) != text[-_CHECK:]


def checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(_CHECK):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def without_keys(text: str) -> str:
    """``text`` with every key in it cut down to what may be shown."""
    return PATTERN.sub(lambda found: f"{shown(found.group())}_***", text)
