"""What may be asked for, and which switch of ``OPEN_PATHS`` opens it to those without a key."""

PREDICT, INFO, READY = "/predict", "/info", "/readyz"
# with which predictions are explained
EXPLAIN = "explain", "true"
# answered by the application behind the gateway
INNER = {
    "/livez": "health",
    READY: "health",
    "/healthz": "health",
    "/metrics": "metrics",
    "/schema.json": "docs",
}
ASSETS = "/static_content/"
DOCS = ("/", "/docs.json")
# what is counted by its name
COUNTED = (PREDICT, INFO, *INNER, *DOCS)


def switch_of(path: str) -> str:
    """The switch that opens a path; one that is in nobody's list for the rest."""
    if path.startswith(ASSETS) or path in DOCS:
        return "docs"
    return INNER.get(path, "predictions")
