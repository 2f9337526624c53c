"""Passwords and tokens: never shown, never kept."""

import re
from typing import Any

KEYS = re.compile(r"password|passwd|secret|token|(^|[._])(api_?)?key$", re.IGNORECASE)
IN_URL = re.compile(r"(://[^:/@\s]*:)[^@/\s]+@")


def masked(value: Any, key: str = "") -> Any:
    """The value with *** in place of each secret: a password in a URL, and any text under a key such as `token`."""
    if isinstance(value, dict):
        return {name: masked(each, str(name)) for name, each in value.items()}
    if isinstance(value, list):
        return [masked(each, key) for each in value]
    if not isinstance(value, str) or not value:
        return value
    return "***" if KEYS.search(key) else IN_URL.sub(r"\1***@", value)


def secret_mistake(key: str, value: Any) -> str | None:
    """One line if a config holds a secret as plain text, which the run's files would keep."""
    if not isinstance(value, str) or "${" in value or masked(value, key) == value:
        return None
    return f"{key}: holds a secret, which the run's files would keep; take '{key}=${{oc.env:NAME}}' and set NAME"
