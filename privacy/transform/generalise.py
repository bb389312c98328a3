"""Values made coarser: an address to its network, a time to its day, an age to its band, a place to its region."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

GENERALISED = (
    r"(?<![0-9.])(?:[0-9]{1,3}\.){3}0/24(?![0-9])"
    r"|(?<![0-9A-Fa-f:])[0-9A-Fa-f:]{2,39}::/48(?![0-9])"
    r"|::/48(?![0-9])"
    r"|(?:age|date|place):~[A-Za-z0-9_-]{1,40}"
)
"""A regular expression for what `generalise` gives."""

_DATE = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)")
_DAY_FIRST = re.compile(r"(?<!\d)(\d{1,2})[./](\d{1,2})[./](\d{4})(?!\d)")
_AGE = re.compile(r"^\D{0,10}(\d{1,3})\D{0,10}$")
_POSTCODE = re.compile(r"^([A-Za-z0-9]{2,3})[A-Za-z0-9 -]{2,8}$")
_COORDINATES = re.compile(r"^\s*(-?\d{1,3})(?:\.\d+)?\s*[,; ]\s*(-?\d{1,3})(?:\.\d+)?\s*$")


def network(text: str) -> str | None:
    """IPv4 to its /24, IPv6 to its /48; None for what is no address."""
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def day(text: str) -> str | None:
    """A time or date to its day. `date:~` says that it is not the whole of what there was."""
    match = _DATE.search(text)
    if match:
        return f"date:~{match[0]}"
    match = _DAY_FIRST.search(text)
    return f"date:~{match[3]}-{int(match[2]):02d}-{int(match[1]):02d}" if match else None


def year(text: str) -> str | None:
    """A date to its year, which is what a date of birth may show."""
    found = day(text)
    return found[: len("date:~0000")] if found else None


def band(text: str) -> str | None:
    """An age to its ten years; 90 and more are one band, as in HIPAA's Safe Harbor."""
    match = _AGE.match(text)
    if match is None:
        return None
    age = int(match[1])
    low = age // 10 * 10
    return "age:~90-or-more" if age >= 90 else f"age:~{low}-{low + 9}"


def region(text: str) -> str | None:
    """Coordinates to whole degrees, an address to its last part, a postcode to its first characters."""
    match = _COORDINATES.match(text)
    if match:
        return f"place:~{match[1]}_{match[2]}"
    parts = [part for part in text.split(",") if part.strip()]
    if len(parts) > 1:
        last = re.sub(r"[^A-Za-z0-9_-]+", "-", parts[-1].strip())[:40].strip("-")
        return f"place:~{last}" if last and not any(char.isdigit() for char in last) else None
    match = _POSTCODE.match(text.strip())
    return f"place:~{match[1]}" if match and any(char.isdigit() for char in text) else None


_BY_KIND: dict[str, tuple[Callable[[str], str | None], ...]] = {
    "ip-public": (network,),
    "ip-private": (network,),
    "date-of-birth": (year,),
    "time": (day,),
    "age": (band,),
    "address": (region,),
    "place": (region,),
}


def generalise(kind: str, text: str) -> str | None:
    """`text` made coarser as its kind wants; kinds without a rule of their own take the first that fits.

    None if nothing fits: the caller then redacts.
    """
    for rule in _BY_KIND.get(kind, (network, day, band, region)):
        found = rule(text)
        if found is not None:
            return found
    return None
