"""What answers with one release: readers, predictor, and what is told of them."""

from typing import Any

import msgspec

from kedro_mlops.runtime.serving_spec import ServingSpec

from .bulk_answers import write_arrow, write_json
from .bulk_reading import TableReader
from .limits import DeadlineCheck, no_deadline
from .openapi import document, title
from .page import HTML, page
from .predictor import Predictor
from .problem_details import ARROW, JSON, PAGE, Reply
from .reading import RowReader
from .settings import Settings

# what is told of the model: what it predicts, what it is, and how good it was
INFO = (
    "task", "label", "model_version", "family", "as_of", "metrics", "confusion", "git_commit",
    "data_hash", "engine", "engine_reason",
)  # fmt: skip


class Served:
    """One release, ready to answer. A request is answered by the one that it began with.

    Args:
        spec: What is known of the champion in it.
        predictor: Answers with it.
        settings: What the environment says.

    Attributes:
        compiled: Whether all its models are.
        info: What is told of the model.
        docs: The page and the OpenAPI document, by their paths.
    """

    def __init__(self, spec: ServingSpec, predictor: Predictor, settings: Settings) -> None:
        self.spec = spec
        self.predictor = predictor
        self.compiled = all(model.engine == "compiled trees" for model in predictor.models.values())
        self.reader = RowReader(spec.asked, settings.max_rows)
        self.table_reader = TableReader(self.reader, [field.name for field in spec.sent])
        about = {name: getattr(spec, name) for name in INFO}
        self.info: dict[str, Any] = about | spec.output.about
        openapi = msgspec.json.encode(document(spec, self.reader, settings, predictor.additions))
        self.docs = {
            "/": Reply(200, page(title(spec)), HTML, PAGE),
            "/docs.json": Reply(200, openapi, JSON),
        }

    def answer_large(
        self,
        kind: bytes,
        body: bytes,
        accept: bytes,
        check_deadline: DeadlineCheck = no_deadline,
        explain: bool = False,
    ) -> Reply:
        """Answer a large request, from reading to writing. Blocks; thread-safe.

        Args:
            kind: The type of the body.
            body: Of the request.
            accept: What the answer may be.
            check_deadline: Called between steps: it raises an error if nobody waits any more.
            explain: Whether the answers are explained.
        """
        check_deadline()
        if kind == ARROW:
            columns = self.table_reader.read_arrow(body, check_deadline)
        else:
            columns = self.table_reader.read_json(body, check_deadline)
        answers = self.predictor.answer_table(columns, check_deadline, explain)
        if ARROW in accept or (kind == ARROW and b"json" not in accept):
            return Reply(200, write_arrow(answers), ARROW)
        return Reply(200, write_json(answers), JSON)
