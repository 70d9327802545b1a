"""E-mail addresses, by which people are known before they sign in for the first time."""

import email_validator
from email_validator import EmailNotValidError, validate_email

# Companies use it for mail of their own; the library's documentation says to take it off this list.
if "local" in email_validator.SPECIAL_USE_DOMAIN_NAMES:
    email_validator.SPECIAL_USE_DOMAIN_NAMES.remove("local")


def normal(text: str) -> str:
    """``text`` as it is kept and compared: Ada@Example.com and ada@example.com are one address. ValueError, saying why,
    for what is none.

    Only ASCII is made lower case: Unicode's rules would make one person of two (the Kelvin sign becomes k).
    """
    try:
        found = validate_email(text.strip(), check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    local, domain = found.local_part, found.ascii_domain or found.domain
    return f"{local.lower() if local.isascii() else local}@{domain.lower()}"


def domain_of(email: str) -> str:
    """What stands after the last @ of a normal address."""
    return email.rpartition("@")[2]
