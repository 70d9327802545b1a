"""Lists: from a query to a page of the store, and back."""

from collections.abc import Mapping
from typing import TypeVar

from modelyard.control.scope import Scope
from modelyard.errors import InvalidRequest
from modelyard.http.api.wire.common import Answer, ListQuery, PageAnswer
from modelyard.store.paging import Page, PageQuery

A = TypeVar("A", bound=Answer)
T = TypeVar("T")


def sort_keys(sort_by: list[str]) -> tuple[tuple[str, bool], ...]:
    """``field:asc`` and ``field:desc``, joined by commas or repeated, as (field, descending). The store knows
    which fields there are."""
    keys = []
    for text in (part.strip() for joined in sort_by for part in joined.split(",")):
        field, _, direction = text.partition(":")
        if not field or direction not in ("", "asc", "desc"):
            msg = f"'{text}' is no sort key; write a field and a direction, as in name:asc or created_at:desc"
            raise InvalidRequest.at("query", "sort_by", msg=msg)
        keys.append((field, direction == "desc"))
    return tuple(keys)


def page_query(scope: Scope, query: ListQuery, where: Mapping[str, object] | None = None) -> PageQuery:
    """``where``: filters by field; those that are None are not asked for."""
    return PageQuery(
        accounts=scope.narrowed(query.account_id),
        page=query.page,
        limit=query.limit,
        sort=sort_keys(query.sort_by),
        where={name: value for name, value in (where or {}).items() if value is not None},
    )


def page_answer(page: Page[T], items: list[A]) -> PageAnswer[A]:
    return PageAnswer(items=items, current_page=page.page, items_per_page=page.limit, total_item_count=page.total)
