"""Which columns are personal data, by what they hold and what they are called."""

import re
from collections.abc import Callable, Iterable, Iterator

from .profile import ColumnProfile

# the share of values that look alike to be of one sort
MOST = 0.8
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
PHONE = re.compile(
    r"(\+|00)\d[\d\s()./-]{6,18}\d|\(?0?\d{2,5}\)?[\s./-]\d{2,4}[\s./-]?\d{2,7}([\s-]\d+)?"
)
IBAN = re.compile(r"[A-Z]{2}\d{2}(\s?[A-Z0-9]{4}){2,7}\s?[A-Z0-9]{0,4}")
CARD = re.compile(r"\d{4}([ -]?\d{4,6}){2}([ -]?\d{1,5})?")
ADDRESS = re.compile(
    r"\d+[a-zA-Z]?\s+([\w.'-]+\s+)*(street|st|road|rd|avenue|ave|lane|ln|drive|dr|way|court)\b.*"
    r"|[\w.' -]*(straße|strasse|str\.|weg|platz|gasse|allee)\s*\d+.*",
    re.IGNORECASE,
)
WORDS_OF_PERSONS = re.compile(
    r"(first|last|sur|given|family|full|middle|maiden|person|customer|client|user|passenger|patient"
    r"|employee|owner|contact|vor|nach)[ _.-]*name|^name$|^names$"
)
WORDS = {
    "e-mail addresses": re.compile(r"e[ _-]?mail"),
    "phone numbers": re.compile(r"phone|mobile|telefon|^tel$|^fax$|fax[ _]?(no|number)$"),
    "card numbers": re.compile(r"(credit|debit|bank)[ _-]?card$|card[ _-]?(no|number)$"),
    "bank accounts": re.compile(r"iban|account[ _-]?number"),
    "addresses": re.compile(r"(street|home|postal|billing)[ _-]?address|^(address|street)$"),
    "personal numbers": re.compile(r"^ssn$|social[ _-]?security|passport|(tax|national)[ _-]?id"),
}


def personal_columns(columns: Iterable[ColumnProfile]) -> Iterator[tuple[str, str]]:
    """Columns that hold, or are called like, what is personal; each with what, in words."""
    for column in columns:
        what = _looks_personal(column) or _is_called_personal(column)
        if what:
            yield column.name, what


def _looks_personal(column: ColumnProfile) -> str | None:
    """By what its values look like."""
    values = [str(value).strip() for value, _ in column.common]
    if column.kind not in ("text", "integer") or not values:
        return None
    sorts: dict[str, Callable[[str], object]] = {
        "looks like card numbers": lambda value: CARD.fullmatch(value) and passes_luhn(value),
    }
    if column.kind == "text":
        sorts |= {
            "looks like e-mail addresses": EMAIL.fullmatch,
            "looks like bank accounts (IBAN)": IBAN.fullmatch,
            "looks like phone numbers": PHONE.fullmatch,
            "looks like addresses": ADDRESS.fullmatch,
        }
    for words, looks_so in sorts.items():
        if sum(bool(looks_so(value)) for value in values) >= MOST * len(values):
            return words
    return None


def _is_called_personal(column: ColumnProfile) -> str | None:
    """By its name, where it has many values."""
    if column.kind not in ("text", "integer") or column.n_distinct < 10:
        return None
    name = column.name.lower().strip()
    if column.kind == "text" and WORDS_OF_PERSONS.search(name):
        return "is called like names of persons"
    words = next((what for what, words in WORDS.items() if words.search(name)), None)
    return f"is called like {words}" if words else None


def passes_luhn(text: str) -> bool:
    """Whether the last digit of a number checks the others (Luhn, 1960)."""
    digits = [int(digit) for digit in text if digit.isdigit()][::-1]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2]]
    return len(digits) >= 12 and (sum(digits[::2]) + sum(doubled)) % 10 == 0
