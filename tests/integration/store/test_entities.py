"""Templates, models and deployments: what goes in comes out, names are taken once, only one's own is seen."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Account, IdentityType
from modelyard.domain.deployments import DeploymentStatus, Event, Observed, Target
from modelyard.domain.models import ModelVendor
from modelyard.domain.parameters import Parameter, ParameterSchema, ParameterType
from modelyard.domain.templates import (
    BundleConfig,
    EndpointConfig,
    EndpointProtocol,
    EndpointType,
    ModelType,
)
from modelyard.errors import Conflict, NotFound
from modelyard.store import PageQuery

SCHEMA = ParameterSchema((Parameter("weights", ParameterType.STR, "Wo die Gewichte sind: ä, 🙂", required=True),))


async def test_a_template_comes_back_as_it_went(store, make):
    template = make.template(
        created_at=datetime(2026, 7, 1, 12, 30, 15, 123457, tzinfo=UTC),
        created_by_identity_type=IdentityType.SERVICE_ACCOUNT,
        endpoint_type=EndpointType.STREAMING,
        model_type=ModelType.CHAT_COMPLETION,
        endpoint_protocol=EndpointProtocol.VLLM,
        bundle=BundleConfig(
            "r", "i", "t", command=("run", "${PORT}"), env={"A": "b"}, streaming_command=("s",), predict_route="/p"
        ),
        endpoint=EndpointConfig(cpus=2, memory="8Gi", endpoint_type=EndpointType.STREAMING, high_priority=False),
        fine_tuning={"nested": [{"deep": None}, 1, 2.5, True]},
        creation_schema=SCHEMA,
        request_schema=SCHEMA,
    )
    plain = make.template()
    async with store.begin() as tx:
        await tx.templates.add(template)
        await tx.templates.add(plain)
    async with store.read() as tx:
        assert await tx.templates.get(template.id, None) == template
        assert await tx.templates.get_many([template.id, plain.id, "unknown"]) == {
            template.id: template,
            plain.id: plain,
        }


async def test_a_model_comes_back_as_it_went(store, make):
    template = make.template()
    model = make.model(
        model_vendor=ModelVendor.LAUNCH,
        display_name="Ein Modell 🙂",
        description="",
        model_template_id=template.id,
        model_creation_parameters={"text": "x", "number": 1, "float": 1.0, "yes": True, "big": 2**70},
        model_group_id="group",
        base_model_id="base",
        base_model_metadata={"modelDetails": {"token_context_window": 2048}},
        model_card="# Card",
        training_data_card="none",
    )
    plain = make.model()
    async with store.begin() as tx:
        await tx.templates.add(template)
        await tx.models.add(model)
        await tx.models.add(plain)
    async with store.read() as tx:
        there = await tx.models.get(model.id, None)
        assert there == model
        assert [type(value) for value in there.model_creation_parameters.values()] == [int, float, int, str, bool]
        assert await tx.models.get_many([plain.id]) == {plain.id: plain}


async def test_a_deployment_comes_back_as_it_went(store, make, now):
    model = make.model()
    deployment = make.deployment(
        model,
        target=Target(0, 64, 7, "revision", generation=3),
        observed=Observed(2, "before", 3, 4, now, "why", now + timedelta(microseconds=1)),
        vendor_configuration={"vendor": "LAUNCH", "min_workers": 0},
        model_creation_parameters={"weights": "file:/x"},
        deployment_metadata={"a": {"b": [1]}},
    )
    async with store.begin() as tx:
        await tx.models.add(model)
        await tx.deployments.add(deployment)
    async with store.read() as tx:
        assert await tx.deployments.get(deployment.id, None) == deployment


async def test_times_of_other_zones_are_the_same_instants(store, make):
    at = datetime(2026, 7, 1, 1, 2, 3, 999_999, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    model = make.model(created_at=at)
    async with store.begin() as tx:
        await tx.models.add(model)
        there = await tx.models.get(model.id, None)
    assert there.created_at == at
    assert there.created_at.tzinfo is UTC


@pytest.fixture(params=["templates", "models", "deployments"])
async def noun(request, store, make):
    """(its attribute, something to make entities of it with)."""
    if request.param != "deployments":
        return request.param, make.template if request.param == "templates" else make.model
    model = make.model()
    async with store.begin() as tx:
        await tx.models.add(model)
    return request.param, lambda **more: make.deployment(model, **more)


async def test_a_name_is_taken_once(store, noun, accounts):
    attribute, new = noun
    first, second = new(name="mine"), new(name="mine")
    async with store.begin() as tx:
        nouns = getattr(tx, attribute)
        await nouns.add(first)
        with pytest.raises(Conflict) as taken:
            await nouns.add(second)
        assert taken.value.code == "name_taken"
        assert "mine" in str(taken.value)
        # The transaction goes on.
        other = replace(second, name="other")
        await nouns.add(other)
    async with store.begin() as tx:
        nouns = getattr(tx, attribute)
        write = nouns.set_target if attribute == "deployments" else nouns.replace
        with pytest.raises(Conflict) as taken:
            await write(replace(other, name="mine"))
        assert taken.value.code == "name_taken"
        assert await nouns.get(other.id, None) == other


async def test_names_are_taken_per_account_or_model(store, make, accounts):
    template = make.template(name="same")
    model = make.model(name="same")
    async with store.begin() as tx:
        await tx.templates.add(template)
        await tx.templates.add(make.template(name="same", account_id=accounts[1]))
        await tx.models.add(model)
        elsewhere = make.model(name="same", account_id=accounts[1])
        await tx.models.add(elsewhere)
        await tx.deployments.add(make.deployment(model, name="same"))
        await tx.deployments.add(make.deployment(elsewhere, name="same"))
        with pytest.raises(Conflict):
            await tx.deployments.add(make.deployment(model, name="same", account_id=accounts[1]))


async def test_only_what_is_in_the_given_accounts_is_seen(store, noun, accounts):
    attribute, new = noun
    entity = new(account_id=accounts[1])
    async with store.begin() as tx:
        await getattr(tx, attribute).add(entity)
    async with store.read() as tx:
        nouns = getattr(tx, attribute)
        assert await nouns.get(entity.id, accounts) == entity
        assert await nouns.get(entity.id, None) == entity
        for others in ((accounts[0], accounts[2]), ()):
            with pytest.raises(NotFound) as hidden:
                await nouns.get(entity.id, others)
            with pytest.raises(NotFound) as unknown:
                await nouns.get("unknown", others)
            assert hidden.value.code == unknown.value.code == f"{attribute[:-1]}_not_found"
            assert str(hidden.value) == str(unknown.value).replace("unknown", entity.id)


@pytest.mark.parametrize("attribute", ["templates", "models"])
async def test_replace_writes_everything_and_upsert_both(store, make, attribute):
    new = make.template if attribute == "templates" else make.model
    entity = new()
    changed = replace(new(), id=entity.id, model_type=ModelType.RERANKING)
    async with store.begin() as tx:
        nouns = getattr(tx, attribute)
        await nouns.upsert(entity)
        assert await nouns.get(entity.id, None) == entity
        await nouns.replace(changed)
        assert await nouns.get(entity.id, None) == changed
        await nouns.upsert(entity)
        assert await nouns.get(entity.id, None) == entity
        await nouns.replace(changed)
        with pytest.raises(NotFound):
            await nouns.replace(new())
        taken = new()
        await nouns.add(taken)
        with pytest.raises(Conflict):
            await nouns.upsert(replace(new(), name=taken.name))


@pytest.mark.parametrize("attribute", ["templates", "models"])
async def test_delete_says_whether_there_was_one(store, make, attribute):
    entity = make.template() if attribute == "templates" else make.model()
    async with store.begin() as tx:
        nouns = getattr(tx, attribute)
        await nouns.add(entity)
        assert await nouns.delete(entity.id)
        assert not await nouns.delete(entity.id)
        with pytest.raises(NotFound):
            await nouns.get(entity.id, None)


async def test_what_is_referred_to_stays(store, make):
    template = make.template()
    model = make.model(model_template_id=template.id)
    async with store.begin() as tx:
        await tx.templates.add(template)
        await tx.models.add(model)
        await tx.deployments.add(make.deployment(model))
    for attribute, id_ in (("templates", template.id), ("models", model.id)):
        with pytest.raises(Conflict) as used:
            async with store.begin() as tx:
                await getattr(tx, attribute).delete(id_)
        assert used.value.code == "in_use"
    with pytest.raises(Conflict) as gone:
        async with store.begin() as tx:
            await tx.deployments.add(make.deployment(make.model()))
    assert gone.value.code == "reference_gone"


async def test_nobody_overwrites_what_he_has_not_seen(store, other, make, kind):
    model = make.model()
    async with store.begin() as tx:
        await tx.models.add(model)

    async def change(which, name, read, written):
        async with which.begin() as tx:
            there = await tx.models.get(model.id, None)
            read.set()
            if kind == "postgresql":
                # On SQLite there is nothing to wait for: the second reads after the first has written.
                await written.wait()
            await tx.models.replace(replace(there, **{name: "changed"}))

    one, two = asyncio.Event(), asyncio.Event()
    results = await asyncio.gather(
        change(store, "description", one, two), change(other, "model_card", two, one), return_exceptions=True
    )
    async with store.read() as tx:
        there = await tx.models.get(model.id, None)
    if kind == "sqlite":
        assert results == [None, None]
        assert (there.description, there.model_card) == ("changed", "changed")
    else:
        refused = [result for result in results if result is not None]
        assert [error.code for error in refused] == ["changed_meanwhile"]
        assert [there.description, there.model_card].count("changed") == 1


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_a_set_target_that_lost_the_race_is_refused(store, other, make):
    (deployment,) = await make.deployed(store)
    async with store.begin() as slow:
        there = await slow.deployments.get(deployment.id, None)
        async with other.begin() as fast:
            await fast.deployments.set_target(replace(there, target=replace(there.target, max_workers=9)))
        with pytest.raises(Conflict) as lost:
            await slow.deployments.set_target(replace(there, target=replace(there.target, min_workers=0)))
        assert lost.value.code == "changed_meanwhile"
    async with store.read() as tx:
        target = (await tx.deployments.get(deployment.id, None)).target
    assert (target.min_workers, target.max_workers) == (1, 9)


async def test_two_changes_in_one_transaction_are_fine(store, make):
    (deployment,) = await make.deployed(store)
    async with store.begin() as tx:
        there = await tx.deployments.get(deployment.id, None)
        await tx.deployments.set_target(replace(there, name="once"))
        await tx.deployments.set_target(replace(there, name="twice"))
        assert (await tx.deployments.get(deployment.id, None)).name == "twice"


async def test_set_target_writes_what_the_owner_decides_and_nothing_else(store, make, accounts, now):
    (deployment,) = await make.deployed(store)
    changed = replace(
        deployment,
        account_id=accounts[2],
        created_at=now + timedelta(days=1),
        name="changed",
        target=Target(3, 4, 5, "next", generation=2, deleted=True),
        observed=Observed(7, "x", 8, 9, now, "no", now),
        vendor_configuration={"a": 1},
        model_creation_parameters={"b": 2},
        deployment_metadata={"c": 3},
    )
    async with store.begin() as tx:
        await tx.deployments.set_target(changed)
    async with store.read() as tx:
        assert await tx.deployments.get(deployment.id, None) == replace(
            changed, account_id=deployment.account_id, created_at=deployment.created_at, observed=deployment.observed
        )
    with pytest.raises(NotFound):
        async with store.begin() as tx:
            await tx.deployments.set_target(replace(changed, id="unknown"))


async def test_deployments_of_models_newest_first(store, make):
    model, bare = make.model(), make.model()
    first, second = make.deployment(model), make.deployment(model)
    async with store.begin() as tx:
        for each in (model, bare):
            await tx.models.add(each)
        for each in (first, second):
            await tx.deployments.add(each)
        assert await tx.deployments.of_model(model.id) == [second, first]
        assert await tx.deployments.of_model(bare.id) == []
        assert await tx.deployments.of_models([model.id, bare.id]) == {model.id: [second, first]}
        assert await tx.models.deployment_counts([model.id, bare.id]) == {model.id: 2}


async def test_models_of_a_template_are_counted(store, make):
    template = make.template()
    async with store.begin() as tx:
        await tx.templates.add(template)
        assert await tx.models.count_by_template(template.id) == 0
        for _ in range(2):
            await tx.models.add(make.model(model_template_id=template.id))
        await tx.models.add(make.model())
        assert await tx.models.count_by_template(template.id) == 2


async def test_live_are_those_that_nobody_asked_to_delete(store, make):
    kept, going = await make.deployed(store, 2)
    async with store.begin() as tx:
        await tx.deployments.set_target(replace(going, target=replace(going.target, deleted=True)))
        assert await tx.deployments.all_live() == [kept]


async def test_the_status_to_sort_by_follows_from_what_is_asked_for(store, make, accounts):
    mine, going = await make.deployed(store, 2)
    model = make.model(account_id=PLATFORM_ACCOUNT_ID)
    built_in = make.deployment(model, account_id=PLATFORM_ACCOUNT_ID)
    async with store.begin() as tx:
        await tx.accounts.add_account(Account(PLATFORM_ACCOUNT_ID, "platform", model.created_at))
        await tx.models.add(model)
        await tx.deployments.add(built_in)
        await tx.deployments.set_target(replace(going, target=replace(going.target, deleted=True)))
        for status, deployment in (
            (DeploymentStatus.UPDATE_PENDING, mine),
            (DeploymentStatus.DELETE_IN_PROGRESS, going),
            (DeploymentStatus.READY, built_in),
        ):
            page = await tx.deployments.page(_of_status(status, (*accounts, PLATFORM_ACCOUNT_ID)))
            assert [each.id for each in page.items] == [deployment.id]


def _of_status(status, accounts):
    return PageQuery(accounts, where={"status": status.value})


async def test_events_are_the_last_ones_newest_first_and_outlive_the_deployment(store, make, now):
    (deployment,) = await make.deployed(store)
    events = [Event(deployment.id, now + timedelta(seconds=s), "kind", f"message {s}") for s in (1, 2, 2, 3)]
    async with store.begin() as tx:
        for event in events:
            await tx.deployments.add_event(event)
        await tx.deployments.add_event(Event("another", now, "kind", "message"))
        assert await tx.deployments.events(deployment.id, 3) == [events[3], events[2], events[1]]
        await tx.deployments.remove(deployment.id)
        assert len(await tx.deployments.events(deployment.id, 10)) == 4


async def test_a_model_is_found_by_its_id_or_name_in_the_accounts_given(store, make, accounts):
    model = make.model(name="mine")
    async with store.begin() as tx:
        await tx.models.add(model)
    async with store.read() as tx:
        for reference in (model.id, "mine"):
            assert await tx.models.find_id(reference, accounts) == model.id
            assert await tx.models.find_id(reference, accounts[1:]) is None
        assert await tx.models.find_id("other", accounts) is None
