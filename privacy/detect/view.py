"""The text that the patterns see: one byte per character, so that positions in bytes are positions in characters.

Full-width digits and letters, the digits of other scripts, odd spaces and dashes become their ASCII twins; letters
become a Latin-1 letter of the same case; invisible characters (zero-width joiners, soft hyphens, bidi marks) vanish.
What a reader sees as `4111 1111 …` is then one form, whatever it was typed with.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_UPPER, _LOWER, _CASELESS, _OTHER = "À", "à", "¤", "¬"


class _Folds(dict[int, str | None]):
    """Code point -> its stand-in, `None` for an invisible one; filled as characters are met."""

    def __missing__(self, code: int) -> str | None:
        fold = _fold(chr(code))
        self[code] = fold
        return fold


def _fold(char: str) -> str | None:
    if char.isascii():
        return char
    category = unicodedata.category(char)
    if category == "Cf" or 0xFE00 <= ord(char) <= 0xFE0F:
        return None
    if category == "Nd":
        return str(unicodedata.digit(char))
    if category == "Zs":
        return " "
    if category in ("Zl", "Zp", "Cc"):
        return "\n"
    if category == "Pd" or char == "\u2212":
        return "-"
    compatible = unicodedata.normalize("NFKC", char)
    if len(compatible) == 1 and compatible.isascii():
        return compatible
    if category in ("Lu", "Lt"):
        return char if char <= "ÿ" else _UPPER
    if category in ("Ll", "Mn"):
        return char if "à" <= char <= "ÿ" else _LOWER
    return _CASELESS if category.startswith("L") else _OTHER


_FOLDS = _Folds()


@dataclass(frozen=True, slots=True)
class View:
    """`text` has Latin-1 characters alone and `data` is its bytes; `offsets[i]` is where character i stood in the
    original, with the end of the original as the last entry; `None` when nothing moved."""

    text: str
    data: bytes
    offsets: Sequence[int] | None = None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The part of the original text that characters start..end of the view came from."""
        if self.offsets is None:
            return start, end
        return self.offsets[start], self.offsets[end - 1] + 1


def view(text: str) -> View:
    """The view of any text; ASCII text is its own."""
    if text.isascii():
        return View(text, text.encode("ascii"))
    folded = text.translate(_FOLDS)
    if len(folded) == len(text):
        return View(folded, folded.encode("latin-1"))
    offsets = [index for index, char in enumerate(text) if _FOLDS[ord(char)] is not None]
    return View(folded, folded.encode("latin-1"), [*offsets, len(text)])
