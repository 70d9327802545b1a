"""Text that PostgreSQL cannot hold means the same on both databases."""

import pytest

from modelyard.domain.deployments import DeploymentStatus, Event, Observed
from modelyard.errors import InvalidRequest


@pytest.mark.parametrize("field", ["name", "description", "model_group_id"])
async def test_nul_is_refused(store, make, field):
    with pytest.raises(InvalidRequest):
        async with store.begin() as tx:
            await tx.models.add(make.model(**{field: "a\0b"}))


async def test_nul_inside_json_comes_back_as_it_went(store, make):
    made = make.model(base_model_metadata={"a\0": ["\0"]})
    async with store.begin() as tx:
        await tx.models.add(made)
    async with store.read() as tx:
        assert await tx.models.get(made.id, None) == made


async def test_a_usage_record_with_nul_is_refused_and_one_that_looks_like_it_is_not(store, make):
    async with store.begin() as tx:
        await tx.usage.add([make.usage(model_name=r"a\u0000b")])
    with pytest.raises(InvalidRequest):
        async with store.begin() as tx:
            await tx.usage.add([make.usage(model_name="a\0b")])


async def test_what_a_process_said_is_written_down_whatever_it_is(store, make, now):
    said = "exit \0 \ud800 ✗"
    (deployment,) = await make.deployed(store)
    failed = DeploymentStatus.UPDATE_FAILED
    later = deployment.created_at
    async with store.begin() as tx:
        assert await tx.deployments.claim_due("me", later, 10, 1)
        await tx.deployments.add_event(Event(deployment.id, later, "failed", said))
        assert await tx.deployments.apply(
            deployment.id,
            "me",
            observed=Observed(1, None, 1, 0, now, said),
            workers=[make.worker(deployment, detail=said)],
            status=failed,
            due_at=later,
            now=later,
        )
    async with store.read() as tx:
        found = await tx.deployments.get(deployment.id, None)
        (event,) = await tx.deployments.events(deployment.id)
    assert {found.observed.reason, found.workers[0].detail, event.message} == {"exit \ufffd ? ✗"}
