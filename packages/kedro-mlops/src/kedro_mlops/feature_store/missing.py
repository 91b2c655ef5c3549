"""Why a looked-up value is missing; the model treats it as a missing value."""

MISSING = (
    "no_key", "unknown_key", "stale", "no_value", "invalid_value", "store_unavailable"
)  # fmt: skip
NO_KEY, UNKNOWN_KEY, STALE, NO_VALUE, INVALID, UNAVAILABLE = MISSING
