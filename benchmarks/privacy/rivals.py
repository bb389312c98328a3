"""Other detectors, where the extra `bench` is installed, and what they call the kinds that they know."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

PRESIDIO = {
    "EMAIL_ADDRESS": ("email",),
    "CREDIT_CARD": ("credit-card",),
    "IBAN_CODE": ("iban",),
    "US_SSN": ("us-ssn",),
    "US_ITIN": ("us-itin",),
    "UK_NHS": ("uk-nhs",),
    "UK_NINO": ("uk-nino",),
    "IP_ADDRESS": ("ip-public", "ip-private"),
    "PHONE_NUMBER": ("phone",),
    "CRYPTO": ("crypto-address",),
    "ES_NIF": ("es-dni",),
    "ES_NIE": ("es-nie",),
    "IT_FISCAL_CODE": ("it-codice-fiscale",),
    "PL_PESEL": ("pl-pesel",),
    "IN_PAN": ("in-pan",),
    "IN_AADHAAR": ("in-aadhaar",),
    "AU_TFN": ("au-tfn",),
    "AU_ABN": ("au-abn",),
    "AU_MEDICARE": ("au-medicare",),
    "SG_NRIC_FIN": ("sg-nric",),
    "FI_PERSONAL_IDENTITY_CODE": ("fi-hetu",),
    "KR_RRN": ("kr-rrn",),
    "US_PASSPORT": ("passport",),
    "US_DRIVER_LICENSE": ("driver-licence",),
    "MEDICAL_LICENSE": ("us-dea",),
    "MAC_ADDRESS": ("mac",),
}
DATAFOG = {
    "EMAIL": ("email",),
    "PHONE": ("phone",),
    "SSN": ("us-ssn",),
    "CREDIT_CARD": ("credit-card",),
    "IP_ADDRESS": ("ip-public", "ip-private"),
    "DOB": ("date-of-birth",),
}

Analyse = Callable[[str], list[tuple[int, int, str]]]
"""What another detector finds: start, end and its own name of the kind."""


def presidio() -> Analyse:
    """Its pattern recognisers, at the threshold that its documentation names."""
    from presidio_analyzer import predefined_recognizers
    from presidio_analyzer.nlp_engine import NlpArtifacts
    from presidio_analyzer.pattern_recognizer import PatternRecognizer

    recognisers = []
    for name in dir(predefined_recognizers):
        cls = getattr(predefined_recognizers, name)
        if isinstance(cls, type) and issubclass(cls, PatternRecognizer) and cls is not PatternRecognizer:
            try:
                recognisers.append(cls())
            except TypeError:
                continue
    recognisers.append(predefined_recognizers.PhoneRecognizer())
    artifacts = NlpArtifacts([], [], [], [], None, "en")

    def analyse(text: str) -> list[tuple[int, int, str]]:
        found = []
        for recogniser in recognisers:
            results = recogniser.analyze(text, recogniser.supported_entities, artifacts) or []
            found += [(one.start, one.end, one.entity_type) for one in results if one.score >= 0.4]
        return found

    return analyse


def datafog() -> Analyse:
    from datafog.processing.text_processing.regex_annotator import RegexAnnotator

    annotator = RegexAnnotator()

    def analyse(text: str) -> list[tuple[int, int, str]]:
        _, result = annotator.annotate_with_spans(text)
        return [(span.start, span.end, span.label) for span in result.spans]

    return analyse


class Rival(NamedTuple):
    """A detector of the Python package `package`: `make` gives its analyser, `names` its names for our kinds."""

    title: str
    package: str
    make: Callable[[], Analyse]
    names: dict[str, tuple[str, ...]]

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.package) is not None


RIVALS = (
    Rival("Presidio", "presidio_analyzer", presidio, PRESIDIO),
    Rival("DataFog", "datafog", datafog, DATAFOG),
)
