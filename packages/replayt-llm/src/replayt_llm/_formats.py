"""Strings of the formats that JSON Schema and Pydantic name."""

from __future__ import annotations

import random
from uuid import UUID

_SHORTER = {
    "uri": ("https://example.com/", "http://a.io/"),
    "email": ("a@example.com", "a@b.io"),
    "hostname": ("example.com", "a.io"),
}


def string_of_format(name: str, rng: random.Random, *, most: int | None = None) -> str | None:
    """A string of that format, recognisably made up; None when any string may do.

    Of at most `most` characters where such a one is known.
    """
    made = _string_of_format(name, rng)
    if made is not None and most is not None and len(made) > most:
        return next((text for text in _SHORTER.get(name, ()) if len(text) <= most), made)
    return made


def _string_of_format(name: str, rng: random.Random) -> str | None:
    date = f"2024-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    time = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}"
    number = rng.randint(1, 9_999)
    known = {
        "date-time": f"{date}T{time}Z",
        "date": date,
        "time": f"{time}Z",
        "duration": f"PT{rng.randint(1, 59)}M",
        "email": f"offline{number}@example.com",
        "idn-email": f"offline{number}@example.com",
        "name-email": f"Offline {number} <offline{number}@example.com>",
        "hostname": f"offline{number}.example.com",
        "idn-hostname": f"offline{number}.example.com",
        "uri": f"https://example.com/offline/{number}",
        "iri": f"https://example.com/offline/{number}",
        "uri-reference": f"/offline/{number}",
        "iri-reference": f"/offline/{number}",
        "multi-host-uri": f"https://example.com/offline/{number}",
        "ipv4": f"192.0.2.{rng.randint(1, 254)}",
        "ipv6": f"2001:db8::{rng.randint(1, 0xFFFF):x}",
        "ipvanyaddress": f"192.0.2.{rng.randint(1, 254)}",
        "ipv4network": "192.0.2.0/24",
        "ipv6network": "2001:db8::/32",
        "ipvanynetwork": "192.0.2.0/24",
        "ipv4interface": "192.0.2.1/24",
        "ipv6interface": "2001:db8::1/32",
        "ipvanyinterface": "192.0.2.1/24",
        "json-pointer": f"/offline/{number}",
        "json-string": f'"offline {number}"',
        "regex": "^offline$",
        "path": f"offline-{number}",
        "color": f"#{rng.getrandbits(24):06x}",
        "base64": "b2ZmbGluZQ==",
        "base64url": "b2ZmbGluZQ==",
    }
    if name.startswith("uuid"):
        version = int(name[4:]) if name[4:] in "12345678" and name[4:] else 4
        # UUID() itself knows versions 1 to 5 only, before Python 3.14.
        digits = f"{rng.getrandbits(128):032x}"
        return str(UUID(f"{digits[:12]}{version}{digits[13:16]}a{digits[17:]}"))
    return known.get(name)
