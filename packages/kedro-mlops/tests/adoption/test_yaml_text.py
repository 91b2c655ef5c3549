"""Whatever a name is, configuration is read as what was meant."""

from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from kedro_mlops.adoption.yaml_text import block, inline, key

# no text that can be encoded has others
TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.text("\\\\${}:#'\"ab\\n", max_size=8)


def read(text: str) -> Any:
    """What a project has of it."""
    return OmegaConf.to_container(OmegaConf.create(yaml.safe_load(text)), resolve=True)


@given(TEXT, TEXT)
@example("a\x85b", "\u2028")
@example("\r", "a\u2029\x85\nb")
def test_names_are_read_as_they_are(name: str, value: str) -> None:
    meant = {"filepath": value, "more": {name: [value, None, True, 0.5]}}

    assert read(block(meant)) == meant
    assert read(f"{{ {key(name)}: [{inline(value)}] }}  # {key(name)}") == {name: [value]}
    assert len(inline(value).splitlines()) == 1
