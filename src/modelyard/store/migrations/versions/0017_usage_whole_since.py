"""From when on every usage record is still there, so that sums can be believed where records are counted."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_NAME = "usage_whole_since"
_HOUR, _BEGINNING = 3_600_000_000, -62_135_596_800_000_000

counters = sa.table("counters", sa.column("name", sa.String), sa.column("value", sa.BigInteger))


def upgrade() -> None:
    # Records may have ended before: the oldest that is left says from when on there are all.
    oldest = sa.select(sa.func.min(sa.column("started_at"))).select_from(sa.table("usage")).scalar_subquery()
    hour = sa.select(sa.func.max(sa.column("hour")) + _HOUR).select_from(sa.table("usage_hours")).scalar_subquery()
    value = sa.func.coalesce(oldest, hour, sa.literal(_BEGINNING, sa.BigInteger))
    op.execute(counters.insert().from_select(["name", "value"], sa.select(sa.literal(_NAME), value)))


def downgrade() -> None:
    op.execute(counters.delete().where(counters.c.name == _NAME))
