"""What calls may tell a vendor beyond the fields that all models share: request parameters, by vendor and type.

The names are the vendors' own, as their references give them; only ``dimensions`` is called so with several, whatever
they call it. Adapters put them where they belong.
"""

from collections.abc import Mapping
from types import MappingProxyType

from modelyard.domain.models import ModelVendor
from modelyard.domain.parameters import Parameter, ParameterSchema, ParameterType
from modelyard.domain.templates import ModelType

_DIMENSIONS = ("dimensions", ParameterType.INT, "How long vectors are to be, where the model can make shorter ones")
_INPUT_TYPE = (
    "input_type",
    ParameterType.STR,
    "What texts are embedded for: search_document (where nothing is said), search_query, classification, clustering",
)
_TRUNCATE = ("truncate", ParameterType.STR, "What becomes of texts that are too long: NONE (refused), START, END")
_PRIORITY = ("priority", ParameterType.INT, "Lower numbers go first")
_SERVICE_TIER = ("service_tier", ParameterType.STR, "The vendor's class of service")
_VERBOSITY = ("verbosity", ParameterType.STR, "How long answers are: low, medium, high")
_CACHE_KEY = ("prompt_cache_key", ParameterType.STR, "Calls of one key find what is cached of each other's prompts")
_SAFETY_IDENTIFIER = ("safety_identifier", ParameterType.STR, "Who asks, as the vendor is to know them")
_TASK_TYPE = ("taskType", ParameterType.STR, "What texts are embedded for, such as RETRIEVAL_QUERY")
_TITLE = ("title", ParameterType.STR, "The title of what is embedded, for RETRIEVAL_DOCUMENT")
_AUTO_TRUNCATE = ("autoTruncate", ParameterType.BOOL, "Whether texts that are too long are cut rather than refused")
_MEDIA_RESOLUTION = ("mediaResolution", ParameterType.STR, "How many tokens an image costs")
_SAFETY_MODE = ("safety_mode", ParameterType.STR, "CONTEXTUAL, STRICT or OFF")
_PER_DOCUMENT = ("max_tokens_per_doc", ParameterType.INT, "Tokens of each chunk that are read")
_NORMALIZE = ("normalize", ParameterType.BOOL, "Whether vectors have the length 1 (Titan)")

_Row = tuple[str, ParameterType, str]

_ROWS: Mapping[tuple[ModelVendor, ModelType], tuple[_Row, ...]] = {
    (ModelVendor.OPENAI, ModelType.CHAT_COMPLETION): (_SERVICE_TIER, _VERBOSITY, _CACHE_KEY, _SAFETY_IDENTIFIER),
    (ModelVendor.OPENAI, ModelType.EMBEDDING): (_DIMENSIONS,),
    (ModelVendor.FIREWORKS_AI, ModelType.EMBEDDING): (_DIMENSIONS,),
    (ModelVendor.OTHER, ModelType.EMBEDDING): (_DIMENSIONS,),
    (ModelVendor.ANTHROPIC, ModelType.CHAT_COMPLETION): (_SERVICE_TIER,),
    (ModelVendor.COHERE, ModelType.CHAT_COMPLETION): (_SAFETY_MODE, _PRIORITY),
    (ModelVendor.COHERE, ModelType.EMBEDDING): (_INPUT_TYPE, _TRUNCATE, _DIMENSIONS, _PRIORITY),
    (ModelVendor.COHERE, ModelType.RERANKING): (_PER_DOCUMENT, _PRIORITY),
    (ModelVendor.GOOGLE, ModelType.CHAT_COMPLETION): (_MEDIA_RESOLUTION,),
    (ModelVendor.GOOGLE, ModelType.EMBEDDING): (_TASK_TYPE, _TITLE, _DIMENSIONS),
    (ModelVendor.VERTEX_AI, ModelType.CHAT_COMPLETION): (_MEDIA_RESOLUTION,),
    (ModelVendor.VERTEX_AI, ModelType.EMBEDDING): (_TASK_TYPE, _TITLE, _DIMENSIONS, _AUTO_TRUNCATE),
    (ModelVendor.BEDROCK, ModelType.EMBEDDING): (_DIMENSIONS, _NORMALIZE, _INPUT_TYPE, _TRUNCATE),
}

_SCHEMAS = MappingProxyType(
    {
        key: ParameterSchema(tuple(Parameter(name, kind, text, False) for name, kind, text in rows))
        for key, rows in _ROWS.items()
    }
)
_NONE = ParameterSchema()


def request_schema_of(vendor: ModelVendor, model_type: ModelType) -> ParameterSchema:
    """The request parameters of ``vendor``'s models of this type; none is required."""
    return _SCHEMAS.get((vendor, model_type), _NONE)
