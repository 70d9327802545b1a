"""The top-level calls' part of /openapi.json, made from the very structs that decode and encode them."""

from functools import cache
from typing import Any

import msgspec

from modelyard.http.inference.answers import CompletionAnswer
from modelyard.http.inference.openapi import REFERENCE, call
from modelyard.http.toplevel.answers import ChatCompletionAnswer, TextCompletionAnswer
from modelyard.http.toplevel.bodies import ChatCompletionBody, TextCompletionBody
from modelyard.http.toplevel.ranking import RankAnswer, RankBody


@cache
def toplevel_paths() -> dict[str, Any]:
    """``{"paths": …, "components": {"schemas": …}}``."""
    kinds = (
        ChatCompletionBody,
        ChatCompletionAnswer,
        TextCompletionBody,
        TextCompletionAnswer,
        RankBody,
        RankAnswer,
        CompletionAnswer,
    )
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    chat, chatted, completion, completed, rank, ranked, _ = schemas
    return {
        "paths": {
            "/v4/chat-completions": call(
                "Chat with a model by its name", "create_chat_completion", chat, chatted, streams=True, names=()
            ),
            "/v4/completions": call(
                "Complete a text by a model's name", "create_completion", completion, completed, streams=True, names=()
            ),
            "/v4/chunks/rank": call("Rank chunks by relevance", "rank_chunks", rank, ranked, names=()),
        },
        "components": {"schemas": components},
    }
