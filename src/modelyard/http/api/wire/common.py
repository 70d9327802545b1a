"""What all bodies and answers have in common."""

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import ConfigDict, Field, Strict, StringConstraints

from modelyard.described import Described
from modelyard.domain.accounts import IdentityType

MAX_PAGE = 1_000_000_000
MAX_LIMIT = 10_000
MAX_INT = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly."""


class Body(Described):
    """What clients send: unknown fields are refused, and no value is bent into another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


class Answer(Described):
    """What clients get."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


Name = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f]$")]
"""A name that people read: something visible, on one line, not ending in a space."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Fallbacks = Annotated[list[Name], Field(max_length=100)]
Text = Annotated[str, StringConstraints(max_length=262_144)]
FreeForm = dict[str, Any]

E = TypeVar("E")
Choice = Annotated[E, Strict(False)]
"""A member of an enumeration, written as its value."""


class Owned(Answer):
    """What every entity carries."""

    id: str
    account_id: str
    created_at: datetime
    created_by_user_id: str
    created_by_identity_type: IdentityType


I = TypeVar("I", bound=Answer)  # noqa: E741


class PageAnswer(Answer, Generic[I]):
    """One page of a list."""

    items: list[I]
    current_page: int
    items_per_page: int
    total_item_count: int


class Deleted(Answer):
    count: int
    success: bool


class FieldProblem(Answer):
    """One thing wrong with one field; ``loc`` is the way to it, as in ["body", "name"]."""

    loc: list[str | int]
    msg: str
    type: str


class Problem(Answer):
    """Every error: a sentence for people (or what is wrong with which field), a stable code, the request's id."""

    detail: str | list[FieldProblem]
    code: str
    request_id: str


class ListQuery(Described):
    """What every list takes. Query parameters are text, so numbers are read from it."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    """The page to give, from 1."""
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 100
    """Items on a page."""
    sort_by: Annotated[list[str], Field(max_length=20, default_factory=list)]
    """``field:asc`` or ``field:desc``; several joined by commas or repeated. Newest first where it is not given."""
    account_id: Id | None = None
    """Only what belongs to this account."""
