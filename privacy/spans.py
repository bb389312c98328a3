"""What a detector reports: which characters of a text are personal data or a secret, and of which kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Characters start..end (Python str indices, end exclusive) are personal data or a secret of `kind`."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding. `structured`: a value can be told by its own form or checksum, given its context words."""

    name: str
    group: str
    structured: bool
    description: str


def _kinds() -> Mapping[str, Kind]:
    rows = (
        ("email", "contact", "e-mail address"),
        ("phone", "contact", "telephone number"),
        ("home-user", "person", "user name in the path of a home folder"),
        ("git-author", "person", "name of the author of a commit"),
        ("credit-card", "financial", "number of a payment card"),
        ("iban", "financial", "international bank account number"),
        ("crypto-address", "financial", "address of a crypto currency wallet"),
        ("us-ssn", "national-id", "US social security number"),
        ("us-itin", "national-id", "US individual taxpayer number"),
        ("uk-nhs", "national-id", "UK National Health Service number"),
        ("uk-nino", "national-id", "UK national insurance number"),
        ("de-tax-id", "national-id", "German tax identification number (Steuer-ID)"),
        ("de-id-card", "national-id", "number of a German identity card or passport"),
        ("fr-nir", "national-id", "French social security number (NIR)"),
        ("es-dni", "national-id", "Spanish identity card number (DNI)"),
        ("es-nie", "national-id", "Spanish foreigner number (NIE)"),
        ("it-codice-fiscale", "national-id", "Italian codice fiscale"),
        ("nl-bsn", "national-id", "Dutch citizen service number (BSN)"),
        ("pl-pesel", "national-id", "Polish PESEL"),
        ("be-national-number", "national-id", "Belgian national register number"),
        ("pt-nif", "national-id", "Portuguese tax number (NIF)"),
        ("pt-cc", "national-id", "Portuguese citizen card number"),
        ("se-personnummer", "national-id", "Swedish personnummer or samordningsnummer"),
        ("fi-hetu", "national-id", "Finnish personal identity code"),
        ("in-aadhaar", "national-id", "Indian Aadhaar number"),
        ("in-pan", "national-id", "Indian permanent account number"),
        ("au-tfn", "national-id", "Australian tax file number"),
        ("au-abn", "national-id", "Australian business number (sole traders are persons)"),
        ("au-medicare", "national-id", "Australian Medicare card number"),
        ("sg-nric", "national-id", "Singapore NRIC or FIN"),
        ("kr-rrn", "national-id", "Korean resident registration number"),
        ("ca-sin", "national-id", "Canadian social insurance number"),
        ("passport", "national-id", "number of a passport"),
        ("driver-licence", "national-id", "number of a driving licence"),
        ("ip-public", "network", "IPv4 or IPv6 address that the internet routes"),
        ("ip-private", "network", "IPv4 or IPv6 address of a private, local or documentation range"),
        ("mac", "network", "MAC address"),
        ("us-dea", "health", "US DEA registration of a prescriber"),
        ("us-npi", "health", "US national provider identifier"),
        ("date-of-birth", "person", "date of birth"),
        ("uri-password", "secret", "password or token in the user part of a URI"),
        ("uri-secret", "secret", "secret parameter of a URI or connection string"),
        ("aws-key", "secret", "AWS access key id, secret key or session token"),
        ("gcp-key", "secret", "Google API key or OAuth token"),
        ("azure-key", "secret", "Azure storage key, client secret or SAS signature"),
        ("github-token", "secret", "GitHub token"),
        ("slack-token", "secret", "Slack token or web hook"),
        ("stripe-key", "secret", "Stripe key"),
        ("npm-token", "secret", "npm token"),
        ("pypi-token", "secret", "PyPI token"),
        ("vendor-token", "secret", "token of another vendor with a form of its own"),
        ("jwt", "secret", "JSON web token"),
        ("private-key", "secret", "private key (PEM)"),
        ("auth-header", "secret", "credentials of an HTTP Authorization header"),
    )
    loose = (
        ("password", "secret", "value assigned to a password"),
        ("secret", "secret", "value assigned to a secret, token or key"),
        ("person-name", "person", "name of a person, told by the name of its field or column"),
        ("address", "contact", "postal address, told by the name of its field or column"),
    )
    found = [Kind(name, group, True, text) for name, group, text in rows]
    found += [Kind(name, group, False, text) for name, group, text in loose]
    return MappingProxyType({kind.name: kind for kind in found})


KINDS: Mapping[str, Kind] = _kinds()
"""Name of a kind -> the kind: all that `Detector` can report."""
