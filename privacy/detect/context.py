"""Context words: what a person writes beside a number that is personal data, in the languages of its country.

A blank in a phrase stands for up to three characters that are no letters or digits, so `date of birth` is also
`dateOfBirth`, `date_of_birth` and `DATE-OF-BIRTH`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_PHRASES: dict[str, str] = {
    "phone": "tél|tlf|tfno|ph|ph no|cel|nr tel|phone|phones|phone number|phone no|phone num|telephone|telephones|"
    "tel|tel no|tel nr|telno|telnr|mobile|"
    "mobile number|mob|cell|cell phone|cellular|handy|handynummer|fax|fax number|call me|call us|call him|call her|"
    "please call|call at|called from|caller|callback|sms|text me|whatsapp|msisdn|hotline|telefon|telefonnummer|"
    "telefoon|telefoonnummer|telefono|teléfono|telefone|téléphone|telephone|telefonnr|mobil|mobilnummer|mobiel|móvil|"
    "movil|celular|cellulare|portable|rufnummer|dial|ring me|reach me|reachable|contact|contact number|kontakt|"
    "puhelin|puhelinnumero|komórka|numer telefonu|gsm|phone1|landline|work phone|home phone",
    "card": "card|cards|card number|card no|credit card|creditcard|debit card|cc|ccn|cc number|pan|visa|mastercard|"
    "amex|american express|discover|diners|jcb|maestro|unionpay|kreditkarte|kartennummer|carte|carte bancaire|tarjeta|"
    "carta di credito|payment card|cardnumber|kaart|creditkaart|kort|kortnummer|cartão",
    "dob": "dob|d o b|date of birth|birth date|birthdate|birthday|birth day|bday|b day|born|born on|birth|"
    "geburtsdatum|geburtstag|geboren|geb|geb datum|date de naissance|naissance|né le|née le|ne le|nee le|"
    "fecha de nacimiento|nacimiento|nacido|nacida|fecha nac|data di nascita|nascita|nato il|nata il|"
    "data de nascimento|nascimento|nascido|nascida|geboortedatum|fødselsdato|födelsedatum|född|syntymäaika|"
    "data urodzenia|urodzony|urodzona",
    "ssn": "ssn|ssns|ssnr|social security|social security number|social security no|social sec|soc sec|ss number|ss no|"
    "tax id|taxpayer|tin|itin",
    "nhs": "nhs|nhs number|nhs no|nhsno|national health|health service number|patient|patient id|patient number|"
    "health number",
    "nino": "nino|ni number|ni no|national insurance|national insurance number|nat ins|insurance number",
    "de-tax": "steuer|steuer id|steuerid|steuernummer|steueridentifikationsnummer|steuerliche identifikationsnummer|"
    "identifikationsnummer|idnr|id nr|idnummer|tax id|tax number|tax identification|tin|steuer identifikationsnummer",
    "de-card": "personalausweis|personalausweisnummer|ausweis|ausweisnummer|ausweisnr|ausweis nr|perso|"
    "id card|identity card",
    "nir": "nir|insee|sécurité sociale|securite sociale|sécu|secu|numéro de sécurité|numero de securite|"
    "numéro sécu|num secu|social security|carte vitale|ssn",
    "dni": "dni|nif|nie|d n i|n i f|n i e|documento|documento nacional|identidad|número de identidad|"
    "numero de identidad|documento de identidad|cif",
    "codice": "codice fiscale|codicefiscale|cf|cod fisc|cod fiscale|fiscal code|tax code",
    "bsn": "bsn|bsn nummer|bsnnummer|burgerservicenummer|burger service|sofi|sofinummer|sofi nummer|citizen service|"
    "citizen service number",
    "pesel": "pesel|numer pesel|nr pesel|pesel number",
    "be": "rijksregister|rijksregisternummer|rrn|insz|niss|registre national|numéro national|numero national|"
    "n national|nr national|"
    "nationaal nummer|national number|national register|nrn|rijksregisternr",
    "pt-nif": "nif|nipc|contribuinte|número de contribuinte|numero de contribuinte|fiscal|nº contribuinte|vat|tax|"
    "tax id|"
    "tax number|identificação fiscal|número fiscal|numero fiscal",
    "pt-cc": "cc|cartão de cidadão|cartao de cidadao|cartão do cidadão|cidadão|cidadao|citizen card|bi|documento",
    "pnr": "personnummer|personnr|person nr|pnr|samordningsnummer|swedish|personal number|personal id|ssn|"
    "personal identity number|civic number|personbeteckning|national id",
    "hetu": "hetu|henkilötunnus|henkilotunnus|henkilö|finnish|personal identity|personal identity code|"
    "personbeteckning|sotu|personal id|ssn",
    "aadhaar": "aadhaar|aadhar|adhaar|adhar|uidai|aadhaar number|aadhaar no|uid|uid no|uid number",
    "in-pan": "pan|pan number|pan no|pan card|permanent account|permanent account number|income tax",
    "tfn": "tfn|tax file|tax file number|taxfile|taxfilenumber|tfn no",
    "abn": "abn|a b n|business number|australian business|australian business number|sole trader",
    "medicare": "medicare|medicare number|medicare no|medicare card|medicareno|irn",
    "nric": "nric|fin|nric fin|ic number|ic no|identity card|singpass|fin number",
    "rrn": "rrn|resident registration|resident registration number|resident number|jumin|korean|jumin number|"
    "resident id",
    "sin": "sin|sin number|sin no|social insurance|social insurance number|nas|assurance sociale|"
    "numéro d assurance sociale|numero d assurance sociale",
    "passport": "passport|passport number|passport no|passport nr|passport num|passport id|passports|passportno|"
    "passportnumber|reisepass|reisepassnummer|passeport|numéro de passeport|pasaporte|passaporto|passaporte|paspoort|"
    "paspoortnummer|paszport|pass nr|passnummer|passi|pass no|travel document",
    "licence": "driver license|drivers license|driver s license|driver licence|drivers licence|driver s licence|"
    "driving licence|driving license|license number|licence number|driver lic|driver id|drivers lic|dl|dl no|dl number|"
    "dln|d l|driver license number|fahrerlaubnis|führerschein|fuehrerschein|führerscheinnummer|permis|"
    "permis de conduire|carnet de conducir|permiso de conducir|patente|patente di guida|rijbewijs|rijbewijsnummer|"
    "körkort|ajokortti|prawo jazdy|carta de condução|dvla|dmv|licence no|license no|driverlicense|driverslicense",
    "dea": "dea|dea number|dea no|dea registration|dea reg|dea id|prescriber|drug enforcement",
    "npi": "npi|npi number|npi no|provider|provider id|national provider|national provider identifier|prescriber|"
    "physician|practitioner",
    "author": "git author|git committer|author name|committer name|author|committer|coauthor|authored by",
    "person-name": "first name|firstname|fname|given name|givenname|last name|lastname|lname|surname|family name|"
    "familyname|full name|fullname|middle name|maiden name|customer name|patient name|person name|contact name|"
    "employee name|cardholder|card holder|account holder|holder name|vorname|nachname|nom de famille|prénom|prenom|"
    "nombre completo|apellido|apellidos|cognome|client name|guest name|passenger name|recipient name|student name",
    "address": "street|street address|address line|address line 1|address1|address2|home address|postal address|"
    "mailing address|billing address|shipping address|delivery address|customer address|residential address|"
    "strasse|straße|hausnummer|anschrift|wohnort|adresse|direccion|dirección|indirizzo|home addr|addr line",
    "password": "password|passwd|passwort|kennwort|pwd|passphrase|pass phrase|passcode|contraseña|contrasena|"
    "mot de passe|senha|wachtwoord|lösenord|salasana|hasło|user pass|db pass|pin code|pass",
    "secret": "secret|secret key|secret access key|token|access token|auth token|api key|apikey|api token|"
    "client secret|private key|access key|signing key|encryption key|refresh token|bearer token|account key|"
    "shared access key|credential|credentials|session token|id token|webhook secret|master key|storage key",
}


def _gap(phrase: str, gap: str, letter: str) -> str:
    """The phrase as a pattern: `gap` for its blanks, `letter`, if any, for its letters outside ASCII."""
    plain = "".join(char if char.isascii() else letter for char in phrase) if letter else phrase
    return plain.replace(" ", gap)


_SHORT = 5
"""Phrases up to this length occur inside other words too often: their trigger looks at what stands beside them."""


_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa"})


def _phrases(group: str) -> set[str]:
    """The phrases of a group in lower case, those with accents also as they are written without."""
    found = {phrase.lower() for phrase in _PHRASES[group].split("|")}
    plain = {unicodedata.normalize("NFKD", phrase).encode("ascii", "ignore").decode() for phrase in found}
    return found | plain | {phrase.translate(_UMLAUTS) for phrase in found}


def trigger_of(group: str) -> bytes:
    """A pattern for the prefilter: occurs wherever `words_before` may see a word of the group."""
    phrases = sorted(_phrases(group))
    parts = []
    for phrase in phrases:
        loose = _gap(phrase, "[^a-z0-9]{0,3}", "[\\xc0-\\xff]")
        if len(phrase) > _SHORT:
            parts.append(f"(?i:{loose})")
            continue
        # A word begins after what is no letter or at the hump of a camel, and ends in the same two ways.
        after = "(?:[^a-z]|$)" if len(phrase) > 2 else "(?:[^a-z0-9]|$)"
        parts.append(f"(?:^|[^A-Za-z])(?i:{loose}){after}")
        if phrase[0].isascii():
            rest = loose[1:]
            parts.append(f"(?:[a-z0-9]{phrase[0].upper()}(?i:{rest})|[A-Z]{phrase[0].upper()}{rest}){after}")
    return ("(?:" + "|".join(parts) + ")").encode("ascii")


def first_words(group: str) -> set[str]:
    """What the first run of letters of any phrase of the group may be: its blanks may be left out."""
    found = set()
    for phrase in _phrases(group):
        words = re.findall(r"[a-zà-ÿ]+", phrase)
        found |= {"".join(words[:count]) for count in range(1, len(words) + 1)}
    return found


@cache
def _pattern(group: str, backwards: bool) -> re.Pattern[str]:
    phrases = _phrases(group)
    if backwards:
        phrases = {phrase[::-1] for phrase in phrases}
    longest_first = sorted((phrase for phrase in phrases if len(phrase) > 2), key=lambda phrase: (-len(phrase), phrase))
    words = "|".join(_gap(phrase, " {0,3}", "") for phrase in longest_first)
    # The last occurrence is the one beside the value.
    # Two letters and a digit are hexadecimal as often as a word.
    short = "|".join(sorted(phrase for phrase in phrases if len(phrase) <= 2)) or "(?!)"
    return re.compile(rf"(?<![a-zà-ÿ])(?:{words})(?![a-zà-ÿ])|(?<![a-z0-9à-ÿ])(?:{short})(?![a-z0-9à-ÿ])")


_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_GAP = re.compile(r"[^A-Za-z0-9À-ÖØ-öø-ÿ]")


def words_of(text: str) -> str:
    """The text in lower case, with blanks for what is no letter or digit and between the humps of a camel."""
    return _GAP.sub(" ", _HUMP.sub(" ", text)).lower()


def words_before(group: str, words: str, backwards: bool = False) -> int:
    """Characters between the end of `words` and the last context word of the group in it, or -1 without one.

    `backwards`: `words` is what follows the value, reversed.
    """
    last = None
    for last in _pattern(group, backwards).finditer(words):  # noqa: B007
        pass
    return -1 if last is None else len(words) - last.end()


GROUPS = tuple(_PHRASES)
"""Names of the groups of context words."""
