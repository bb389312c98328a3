"""Made-up values of every kind, valid by their checksums, written in the ways they are met. None is a person's."""

from __future__ import annotations

import base64
import hashlib
import json
import string
from collections.abc import Callable
from random import Random

import phonenumbers
from stdnum import iban, luhn, verhoeff
from stdnum.au import abn, tfn
from stdnum.be import nn as be_nn
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.pt import cc as pt_cc
from stdnum.pt import nif as pt_nif

ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase
FIRST = (
    "Jane Olga José Zoë Anna Liam Priya Wei Fatima Björn Søren Ivo Marta Łukasz Chloé Yusuf Nina Tom Ewa Hugo".split()
)
LAST = "Doe Müller García O'Brien Kowalski Rossi Dupont Virtanen Smith-Jones Nguyen Silva Sharma Tanaka Öberg "
"Peeters".split()
ASCII_NAMES = (
    "jane olga liam priya wei marta nina tom ewa hugo doe mueller garcia obrien rossi dupont smith nguyen silva".split()
)
DOMAINS = "example.com mail.example.co.uk acme.io firma.de EXAMPLE.ORG université.fr corp.internal uni-bonn.de a.museum"

Make = Callable[[Random], str]


def pick(random: Random, items: str | list[str]) -> str:
    return random.choice(items.split() if isinstance(items, str) and " " in items else items)


def digits(random: Random, count: int, first: str = "0123456789") -> str:
    return random.choice(first) + "".join(random.choice(string.digits) for _ in range(count - 1))


def chars(random: Random, alphabet: str, count: int) -> str:
    return "".join(random.choice(alphabet) for _ in range(count))


def until(random: Random, make: Make, valid: Callable[[str], bool]) -> str:
    while not valid(value := make(random)):
        pass
    return value


def grouped(random: Random, value: str, sizes: tuple[int, ...], separators: str = " -") -> str:
    """The value whole or in groups of these sizes."""
    separator = random.choice(["", *separators])
    parts, position = [], 0
    for size in sizes:
        parts.append(value[position : position + size])
        position += size
    return separator.join(part for part in [*parts, value[position:]] if part)


def email(random: Random) -> str:
    local = random.choice(["{a}.{b}", "{a}", "{a}_{b}", "{a}{n}", "{a}+{b}", "{A}.{B}", "{a}-{b}"]).format(
        a=pick(random, ASCII_NAMES),
        b=pick(random, ASCII_NAMES),
        A=pick(random, ASCII_NAMES).title(),
        B=pick(random, ASCII_NAMES).upper(),
        n=random.randint(1, 99),
    )
    return f"{local}@{pick(random, DOMAINS)}"


_PHONE_REGIONS = "US GB DE FR ES IT NL PL BE PT SE FI IN AU SG KR CA CH AT BR JP MX IE".split()


def phone_international(random: Random) -> str:
    return phonenumbers.format_number(
        _phone(random, pick(random, _PHONE_REGIONS)),
        random.choice(
            [
                phonenumbers.PhoneNumberFormat.E164,
                phonenumbers.PhoneNumberFormat.INTERNATIONAL,
            ]
        ),
    )


def phone_national(random: Random) -> str:
    number = _phone(random, pick(random, _PHONE_REGIONS))
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)


def _phone(random: Random, region: str) -> phonenumbers.PhoneNumber:
    kind = random.choice([phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE])
    example = phonenumbers.example_number_for_type(region, kind)
    while True:
        national = str(example.national_number)
        number = phonenumbers.PhoneNumber(
            country_code=example.country_code,
            national_number=int(national[:-4] + digits(random, 4)),
            italian_leading_zero=example.italian_leading_zero,
        )
        if phonenumbers.is_valid_number(number):
            return number


def card(random: Random) -> str:
    prefix, length = random.choice(
        [
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("34", 15),
            ("37", 15),
            ("6011", 16),
            ("3530", 16),
            ("62", 16),
        ]
    )
    body = prefix + digits(random, length - len(prefix) - 1)
    number = body + luhn.calc_check_digit(body)
    return grouped(random, number, (4, 6) if length == 15 else (4, 4, 4))


def bank_account(random: Random) -> str:
    country, form = random.choice(
        [
            ("DE", "n18"),
            ("GB", "a4n14"),
            ("FR", "n23"),
            ("NL", "a4n10"),
            ("ES", "n20"),
            ("BE", "n12"),
            ("PL", "n24"),
            ("CH", "n17"),
            ("AT", "n16"),
            ("SE", "n20"),
            ("PT", "n21"),
            ("FI", "n14"),
            ("IE", "a4n14"),
        ]
    )

    def make(random: Random) -> str:
        account = "".join(
            chars(random, UPPER if part[0] == "a" else string.digits, int(part[1:]))
            for part in ([form] if form[0] == "n" else ["a4", form[2:]])
        )
        if country == "GB":
            account = "NWBK" + account[4:]
        return iban.calc_check_digits(country + "00" + account).join((country, account))

    number = until(
        random,
        make,
        lambda value: iban.is_valid(value, check_country=country not in ("ES", "BE")) and iban.is_valid(value),
    )
    return random.choice([number, " ".join(number[i : i + 4] for i in range(0, len(number), 4))])


def wallet(random: Random) -> str:
    if random.random() < 0.4:
        return "0x" + chars(random, "0123456789abcdefABCDEF" if random.random() < 0.5 else "0123456789abcdef", 40)
    if random.random() < 0.5:
        return _bech32(random)
    data = bytes([random.choice([0, 5])]) + random.randbytes(20)
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[rest] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def _bech32(random: Random) -> str:
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    data = [0] + [random.randrange(32) for _ in range(31)] + [random.choice([0, 16])]
    check = 1
    for five in [3, 3, 0, 2, 3, *data, 0, 0, 0, 0, 0, 0]:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ five
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    check ^= 1
    return "bc1" + "".join(alphabet[five] for five in [*data, *((check >> 5 * (5 - i)) & 31 for i in range(6))])


def born(random: Random) -> tuple[str, str, str]:
    return f"{random.randint(40, 99):02d}", f"{random.randint(1, 12):02d}", f"{random.randint(1, 28):02d}"


def ssn(random: Random) -> str:
    return f"{random.choice([*range(100, 660)]):03d}-{random.randint(1, 99):02d}-{random.randint(1, 9999):04d}"


def itin(random: Random) -> str:
    return f"9{digits(random, 2)}-{random.choice([*range(70, 89)])}-{digits(random, 4)}"


def nhs_number(random: Random) -> str:
    value = until(random, lambda r: digits(r, 10, "469"), nhs.is_valid)
    return grouped(random, value, (3, 3))


def nino(random: Random) -> str:
    value = (
        chars(random, "ABCEHJLMPRSW", 1)
        + chars(random, "ABCEHJLMPRSW", 1)
        + digits(random, 6)
        + pick(random, list("ABCD"))
    )
    return random.choice([value, f"{value[:2]} {value[2:4]} {value[4:6]} {value[6:8]} {value[8]}"])


def de_tax(random: Random) -> str:
    from stdnum.de import idnr

    def make(random: Random) -> str:
        ten = random.sample(string.digits[1:], 9)
        ten.insert(random.randrange(9), random.choice(ten))
        return "".join(ten) + digits(random, 1)

    return grouped(random, until(random, make, idnr.is_valid), (2, 3, 3), " ")


def de_card(random: Random) -> str:
    body = random.choice("LMNPRTVWXY") + chars(random, "CFGHJKLMNPRTVWXYZ0123456789", 7) + digits(random, 1)
    check = sum(int(char, 36) * weight for char, weight in zip(body, (7, 3, 1) * 3, strict=True)) % 10
    return random.choice([body, f"{body}{check}"])


def fr_nir(random: Random) -> str:
    year, month, _ = born(random)
    body = f"{random.choice('12')}{year}{month}{random.randint(1, 95):02d}{digits(random, 3)}{digits(random, 3)}"
    key = f"{97 - int(body) % 97:02d}"
    assert nir.is_valid(body + key)
    whole = body + key
    return random.choice(
        [whole, " ".join((whole[0], whole[1:3], whole[3:5], whole[5:7], whole[7:10], whole[10:13], whole[13:]))]
    )


def es_dni(random: Random) -> str:
    body = digits(random, 8, "34567")
    return body + random.choice(["", "-"]) + dni.calc_check_digit(body)


def es_nie(random: Random) -> str:
    body = random.choice("XYZ") + digits(random, 7)
    return random.choice(["{}{}", "{}-{}"]).format(body, nie.calc_check_digit(body))


def it_cf(random: Random) -> str:
    year, _, day = born(random)
    body = (
        chars(random, "BCDFGLMNPRSTV", 6)
        + year
        + random.choice("ABCDEHLMPRST")
        + day
        + random.choice("ABCDEFGH")
        + digits(random, 3, "123456789")
    )
    return body + codicefiscale.calc_check_digit(body)


def nl_bsn(random: Random) -> str:
    return grouped(random, until(random, lambda r: digits(r, 9, "12345"), bsn.is_valid), (3, 3), " .")


def pl_pesel(random: Random) -> str:
    body = "".join(born(random)) + digits(random, 4)
    return body + pesel.calc_check_digit(body)


def be_number(random: Random) -> str:
    year, month, day = born(random)
    body = year + month + day + f"{random.randint(1, 900):03d}"
    value = body + f"{97 - int(body) % 97:02d}"
    assert be_nn.is_valid(value)
    return random.choice([value, f"{year}.{month}.{day}-{body[6:]}.{value[9:]}"])


def nif(random: Random) -> str:
    body = digits(random, 8, "125")
    return grouped(random, body + pt_nif.calc_check_digit(body), (3, 3), " ")


def citizen_card(random: Random) -> str:
    body = digits(random, 8) + digits(random, 1) + chars(random, UPPER, 2)
    value = body + pt_cc.calc_check_digit(body)
    return random.choice([value, f"{value[:8]} {value[8]} {value[9:]}"])


def personnummer(random: Random) -> str:
    body = "".join(born(random)) + digits(random, 3)
    value = body + luhn.calc_check_digit(body)
    return random.choice(["{}-{}", "19{}-{}", "{}{}", "19{}{}"]).format(value[:6], value[6:])


def fi_hetu(random: Random) -> str:
    year, month, day = born(random)
    number = f"{random.randint(2, 899):03d}"
    return f"{day}{month}{year}-{number}{hetu._calc_checksum(day + month + year + number)}"


def aadhaar(random: Random) -> str:
    body = digits(random, 11, "23456789")
    return grouped(random, body + verhoeff.calc_check_digit(body), (4, 4))


def in_pan(random: Random) -> str:
    return (
        chars(random, UPPER, 3) + "P" + random.choice(UPPER) + f"{random.randint(1, 9999):04d}" + random.choice(UPPER)
    )


def au_tfn(random: Random) -> str:
    return grouped(random, until(random, lambda r: digits(r, 9, "1234567"), tfn.is_valid), (3, 3))


def au_abn(random: Random) -> str:
    body = digits(random, 9, "123456789")
    return grouped(random, abn.calc_check_digits(body) + body, (2, 3, 3), " ")


def medicare(random: Random) -> str:
    body = digits(random, 8, "23456")
    check = sum(int(char) * weight for char, weight in zip(body, (1, 3, 7, 9, 1, 3, 7, 9), strict=True)) % 10
    value = f"{body}{check}{random.randint(1, 9)}"
    return grouped(random, value, (4, 5), " ")


def nric(random: Random) -> str:
    prefix, body = random.choice("STFG"), digits(random, 7)
    total = sum(int(char) * weight for char, weight in zip(body, (2, 7, 6, 5, 4, 3, 2), strict=True)) + (
        4 if prefix in "TG" else 0
    )
    return prefix + body + ("JZIHGFEDCBA" if prefix in "ST" else "XWUTRQPNMLK")[total % 11]


def kr_rrn(random: Random) -> str:
    body = "".join(born(random)) + random.choice("12") + f"{random.randint(0, 95):02d}" + digits(random, 3)
    value = body + rrn.calc_check_digit(body)
    return f"{value[:6]}-{value[6:]}"


def ca_sin(random: Random) -> str:
    body = digits(random, 8, "1234567")
    return grouped(random, body + luhn.calc_check_digit(body), (3, 3))


def dea(random: Random) -> str:
    body = digits(random, 6)
    check = (sum(map(int, body[0::2])) + 2 * sum(map(int, body[1::2]))) % 10
    return random.choice("ABFGMPR") + random.choice(UPPER) + body + str(check)


def npi(random: Random) -> str:
    body = random.choice("12") + digits(random, 8)
    return body + luhn.calc_check_digit("80840" + body)


def passport(random: Random) -> str:
    return random.choice(
        [
            lambda: digits(random, 9, "345678"),
            lambda: random.choice("ABCX") + digits(random, 8),
            lambda: "C01X" + digits(random, 5, "23456789"),
            lambda: f"{digits(random, 2)}{chars(random, UPPER, 2)}{digits(random, 5)}",
            lambda: chars(random, UPPER, 2) + digits(random, 7),
        ]
    )()


def licence(random: Random) -> str:
    return random.choice(
        [
            lambda: random.choice(UPPER) + digits(random, 7),
            lambda: digits(random, 8, "3456789"),
            lambda: random.choice(UPPER) + digits(random, 12),
            lambda: (
                f"{random.choice(UPPER)}{digits(random, 3)}-{digits(random, 3)}-{digits(random, 2)}-"
                f"{digits(random, 3)}-{digits(random, 1)}"
            ),
            lambda: (
                f"MORGA{digits(random, 1)}{random.randint(1, 12):02d}{random.randint(1, 28):02d}"
                f"{digits(random, 1)}SM9IJ"
            ),
        ]
    )()


def ip_public(random: Random) -> str:
    if random.random() < 0.3:
        groups = [random.randint(16, 4095), random.randint(1, 4095)]
        return f"2a0{random.randint(1, 9)}:{groups[0]:x}:{groups[1]:x}::{random.randint(1, 65535):x}"
    first = random.choice([5, 8, 34, 52, 81, 93, 145])
    return ".".join(map(str, [first, *(random.randint(1, 254) for _ in range(3))]))


def ip_private(random: Random) -> str:
    if random.random() < 0.2:
        return random.choice(
            [f"fd12:3456:789a::{random.randint(1, 65535):x}", f"fe80::1ff:fe23:{random.randint(4096, 65535):x}:890a"]
        )
    return random.choice(["10.{}.{}.{}", "192.168.{1}.{2}", "172.20.{}.{}"]).format(
        *(random.randint(1, 254) for _ in range(3))
    )


def mac(random: Random) -> str:
    octets = [f"{random.randrange(256):02x}" for _ in range(6)]
    return random.choice([":".join(octets), "-".join(octets).upper(), ":".join(octets).upper()])


def birth_date(random: Random) -> str:
    year, month, day = born(random)
    return random.choice(
        [
            f"19{year}-{month}-{day}",
            f"{day}.{month}.19{year}",
            f"{month}/{day}/19{year}",
            f"19{year}{month}{day}",
            f"{day}/{month}/{year}",
            f"{int(day)} March 19{year}",
            f"Jan {int(day)}, 19{year}",
        ]
    )


def password(random: Random) -> str:
    return random.choice(
        [
            lambda: chars(random, ALNUM, 12),
            lambda: pick(
                random, "Sommer2024! hunter2 Tr0ub4dor&3 correct-horse-7 Pa$$w0rd P@ssw0rd! geheim99 x9!kLm#2"
            ),
            lambda: chars(random, ALNUM + "!#$%^*()-_+", 16),
        ]
    )()


def url_password(random: Random) -> str:
    return random.choice(
        [
            lambda: chars(random, ALNUM, 14),
            lambda: f"p%40ss{digits(random, 3)}%2Fx",
            lambda: f"a/{chars(random, ALNUM, 6)}",
            lambda: f"x@{chars(random, ALNUM, 6)}!",
            lambda: f"{chars(random, ALNUM, 5)}:{chars(random, ALNUM, 4)}",
            lambda: f"p#{chars(random, ALNUM, 6)}",
            lambda: f"hunter{digits(random, 1)}",
            lambda: f"{chars(random, ALNUM, 4)}$&*+={chars(random, ALNUM, 4)}",
        ]
    )()


def key(random: Random) -> str:
    return until(
        random,
        lambda r: random.choice(
            [
                lambda: chars(r, ALNUM, 32),
                lambda: chars(r, "0123456789abcdef", 40),
                lambda: chars(r, ALNUM + "-_", 43),
                lambda: base64.b64encode(r.randbytes(24)).decode(),
            ]
        )(),
        lambda value: any(char.isdigit() for char in value) and any(char.isalpha() for char in value),
    )


def jwt(random: Random) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return ".".join(
        [
            part({"alg": "HS256", "typ": "JWT"}),
            part({"sub": digits(random, 10), "iat": 1700000000}),
            chars(random, ALNUM + "-_", 43),
        ]
    )


def private_key(random: Random) -> str:
    name = random.choice(["RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED "])
    lines = [base64.b64encode(random.randbytes(48)).decode() for _ in range(random.randint(3, 6))]
    return random.choice(["\n", "\\n"]).join(
        [f"-----BEGIN {name}PRIVATE KEY-----", *lines, f"-----END {name}PRIVATE KEY-----"]
    )


def slack(random: Random) -> str:
    return f"xox{random.choice('bpa')}-{digits(random, 12)}-{digits(random, 12)}-{chars(random, ALNUM, 24)}"


def vendor(random: Random) -> str:
    return random.choice(
        [
            lambda: "glpat-" + chars(random, ALNUM, 20),
            lambda: "dapi" + chars(random, "0123456789abcdef", 32),
            lambda: "hf_" + chars(random, ALNUM, 33) + "7",
            lambda: "sk-" + chars(random, ALNUM, 46) + "42",
            lambda: f"SG.{chars(random, ALNUM, 22)}.{chars(random, ALNUM, 42)}9",
            lambda: "hvs." + chars(random, ALNUM, 24) + "3",
        ]
    )()


def gcp(random: Random) -> str:
    return random.choice(
        [
            lambda: "AIza" + chars(random, ALNUM + "-_", 34) + "a",
            lambda: "ya29." + chars(random, ALNUM + "-_", 60),
            lambda: "GOCSPX-" + chars(random, ALNUM, 28),
        ]
    )()


def person(random: Random) -> str:
    return f"{pick(random, FIRST)} {pick(random, LAST)}"


def home_user(random: Random) -> str:
    return random.choice(["{}", "{}.{}", "{0[0]}{1}"]).format(pick(random, ASCII_NAMES), pick(random, ASCII_NAMES))


def aws(random: Random) -> str:
    return random.choice(["AKIA", "ASIA"]) + chars(random, UPPER + "234567", 16)


def github(random: Random) -> str:
    return random.choice(
        [
            lambda: random.choice(["ghp_", "gho_", "ghs_"]) + chars(random, ALNUM, 36),
            lambda: "github_pat_" + chars(random, ALNUM, 22) + "_" + chars(random, ALNUM, 59),
        ]
    )()


def stripe(random: Random) -> str:
    return f"{random.choice(['sk', 'rk'])}_{random.choice(['live', 'test'])}_{chars(random, ALNUM, 24)}"


def npm(random: Random) -> str:
    return "npm_" + chars(random, ALNUM, 36)


def pypi(random: Random) -> str:
    return "pypi-AgEIcHlwaS5vcmc" + chars(random, ALNUM + "-_", 60)
