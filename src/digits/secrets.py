"""Passwords and tokens: never shown, never kept."""

import re
from typing import Any

KEYS = re.compile(r"password|passwd|secret|token|(^|[._])(api_?)?key$", re.IGNORECASE)
IN_URL = re.compile(r"(://[^:/@\s]*:)[^@/\s]+@")


def masked(value: Any, key: str = "") -> Any:
    """The same value with *** in place of each secret: the password of a URL, and all under a key that names one."""
    if isinstance(value, dict):
        return {name: masked(each, str(name)) for name, each in value.items()}
    if isinstance(value, list):
        return [masked(each, key) for each in value]
    if not isinstance(value, str) or not value:
        return value
    return "***" if KEYS.search(key) else IN_URL.sub(r"\1***@", value)


def secret_mistake(key: str, value: Any) -> str | None:
    """One line on a secret that is written out in a config, where it would be kept in the run's files."""
    if not isinstance(value, str) or "${" in value or masked(value, key) == value:
        return None
    return f"{key}: holds a secret, which the run's files would keep; take '{key}=${{oc.env:NAME}}' and set NAME"
