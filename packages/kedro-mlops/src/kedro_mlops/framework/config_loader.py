"""Kedro's configuration, of which a run may change the globals too."""

from typing import Any

from kedro.config import OmegaConfigLoader

GLOBALS = "globals"


class ProjectConfigLoader(OmegaConfigLoader):
    """Takes the runtime parameter ``globals`` for what it says, e.g. another folder of artefacts.

    ``kedro run --params globals.data=data/scratch`` keeps a run apart from all others.
    """

    def __init__(
        self,
        conf_source: str,
        env: str | None = None,
        runtime_params: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        given = dict(runtime_params or {})
        changed = given.pop(GLOBALS, {})
        super().__init__(conf_source, env, given, **settings)
        self[GLOBALS] = {**self[GLOBALS], **changed}
