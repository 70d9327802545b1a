"""The only room that knows SQL. It gives and takes domain objects.

``Store.open(url)``, ``await store.migrate()``, then ``async with store.begin() as tx:`` for each transaction that
writes and ``async with store.read() as tx:`` for each that only reads. A transaction has one attribute per noun:
``tx.accounts``, ``tx.templates``, ``tx.models``, ``tx.deployments``, ``tx.usage``, ``tx.idempotency``,
``tx.audit``. What is written inside `acting` is told in the audit log, in the same transaction.
"""

from modelyard.store.acting import acting
from modelyard.store.idempotency import Replay
from modelyard.store.paging import Page, PageQuery
from modelyard.store.store import Store, Transaction

__all__ = ["Page", "PageQuery", "Replay", "Store", "Transaction", "acting"]
