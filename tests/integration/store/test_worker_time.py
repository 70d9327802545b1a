"""Workers' time: what lies in the span that is asked for, and no more than has passed."""

from datetime import timedelta

HOUR = timedelta(hours=1)


async def test_time_is_what_lies_in_the_span_until_now(store, make, now, accounts):
    [deployment] = await make.deployed(store)
    begins = {"ended": -2 * HOUR, "there": HOUR / 2, "before": -3 * HOUR, "later": 4 * HOUR}
    async with store.begin() as tx:
        for name, by in begins.items():
            worker = make.worker(deployment, id=name, created_at=now + by)
            await tx.worker_time.begin(worker, accounts[0], name, 0)
        await tx.worker_time.end(["ended"], now + 2 * HOUR)
        await tx.worker_time.end(["before"], now)

    async def told(start, end, at):
        async with store.read() as tx:
            spent = await tx.worker_time.spent(now + start, now + end, now + at, accounts[:1])
        return {each.model_id: each.seconds / 3600 for each in spent if each.seconds}

    none = 0 * HOUR
    assert await told(none, HOUR, at=5 * HOUR) == {"ended": 1, "there": 0.5}
    assert await told(none, 3 * HOUR, at=5 * HOUR) == {"ended": 2, "there": 2.5}
    assert await told(none, 3 * HOUR, at=HOUR) == {"ended": 1, "there": 0.5}, "no time that is still to come"
    assert await told(-4 * HOUR, 5 * HOUR, at=5 * HOUR) == {"ended": 4, "there": 4.5, "before": 3, "later": 1}
