"""The catalog in real databases."""

import asyncio
from dataclasses import replace

import pytest

from modelyard.catalog import load
from modelyard.control import builtins
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Account, IdentityType
from modelyard.domain.deployments import Deployment, DeploymentStatus, Target
from modelyard.domain.lifecycle import status_of
from modelyard.domain.models import Model
from modelyard.domain.snapshots import revision_of, snapshot_of
from modelyard.domain.templates import ModelType
from modelyard.settings import CatalogSettings, Settings
from modelyard.store import PageQuery, Store
from modelyard.testing.clock import FakeClock

CATALOG = load()
STARTERS = {starter.name for starter in CATALOG.starters}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    with request.getfixturevalue("postgres").lent(request.getfixturevalue("migrated_postgres")) as lent:
        yield lent


@pytest.fixture
async def store(url):
    store = await Store.open(url)
    await store.migrate()
    yield store
    await store.aclose()


@pytest.fixture
def clock():
    return FakeClock()


async def everything(store):
    """All built-in entities, comparable."""
    query = PageQuery((PLATFORM_ACCOUNT_ID,), sort=(("id", False),))
    async with store.read() as tx:
        templates, models = (await tx.templates.page(query)).items, (await tx.models.page(query)).items
        deployments = (await tx.deployments.page(query)).items
    return templates, models, deployments


async def test_everyone_finds_the_templates_and_starters(store, clock):
    await builtins.sync(store, CATALOG, Settings(), clock)
    templates, models, deployments = await everything(store)
    assert {template.name for template in templates} == {entry.name for entry in CATALOG.templates}
    assert {model.name for model in models} == STARTERS
    assert {deployment.name for deployment in deployments} == STARTERS
    for deployment in deployments:
        assert deployment.is_built_in
        assert (deployment.target.min_workers, deployment.target.max_workers) == (0, 1)
        assert deployment.id == builtins.deployment_id(deployment.name)
        assert deployment.model_id == builtins.model_id(deployment.name)
        assert status_of(deployment, clock.now())[0] is DeploymentStatus.READY
    chat = next(model for model in models if model.model_type is ModelType.CHAT_COMPLETION)
    assert chat.context_window == 2048


async def test_doing_it_again_changes_nothing(store, clock):
    await builtins.sync(store, CATALOG, Settings(), clock)
    before = await everything(store)
    async with store.read() as tx:
        version = await tx.deployments.routes_version()
    await clock.advance(1000)
    await builtins.sync(store, CATALOG, Settings(), clock)
    assert await everything(store) == before
    async with store.read() as tx:
        assert await tx.deployments.routes_version() == version


async def test_servers_that_start_together_make_one_of_each(store, url, clock):
    others = [await Store.open(url) for _ in range(3)]
    await asyncio.gather(*(builtins.sync(each, CATALOG, Settings(), clock) for each in (store, *others)))
    for other in others:
        await other.aclose()
    templates, models, deployments = await everything(store)
    assert (len(templates), len(models), len(deployments)) == (len(CATALOG.templates), 3, 3)
    assert {deployment.target.generation for deployment in deployments} == {1}


async def test_warm_starters_keep_a_worker(store, clock):
    await builtins.sync(store, CATALOG, Settings(catalog=CatalogSettings(warm_starters=True)), clock)
    _, _, deployments = await everything(store)
    assert {deployment.target.min_workers for deployment in deployments} == {1}
    await builtins.sync(store, CATALOG, Settings(), clock)
    _, _, deployments = await everything(store)
    assert {(each.target.min_workers, each.target.generation) for each in deployments} == {(0, 2)}


def changed(name: str, **parameters):
    """The catalog of a later version, in which one starter has other parameters."""
    starters = tuple(
        replace(starter, parameters={**starter.parameters, **parameters}) if starter.name == name else starter
        for starter in CATALOG.starters
    )
    return replace(CATALOG, starters=starters)


async def test_a_new_version_rolls_what_it_changed_and_nothing_else(store, clock):
    await builtins.sync(store, CATALOG, Settings(), clock)
    before = {deployment.name: deployment for deployment in (await everything(store))[2]}
    await clock.advance(1000)
    await builtins.sync(store, changed("all-minilm-l6-v2", batch_size=16), Settings(), clock)
    after = {deployment.name: deployment for deployment in (await everything(store))[2]}
    for name in STARTERS - {"all-minilm-l6-v2"}:
        assert after[name] == before[name]
    old, new = before["all-minilm-l6-v2"], after["all-minilm-l6-v2"]
    assert new.target.revision != old.target.revision
    assert new.target.generation == old.target.generation + 1
    assert new.created_at == old.created_at
    assert status_of(new, clock.now())[0] is DeploymentStatus.READY


async def test_without_starters_there_are_none(store, clock):
    without = Settings(catalog=CatalogSettings(starters=False))
    await builtins.sync(store, CATALOG, without, clock)
    templates, models, deployments = await everything(store)
    assert (len(templates), len(models), len(deployments)) == (len(CATALOG.templates), 0, 0)


async def test_starters_go_and_come_back_with_the_setting(store, clock):
    without = Settings(catalog=CatalogSettings(starters=False))
    await builtins.sync(store, CATALOG, Settings(), clock)
    await builtins.sync(store, CATALOG, without, clock)
    _, models, deployments = await everything(store)
    assert {deployment.target.deleted for deployment in deployments} == {True}
    await builtins.sync(store, CATALOG, Settings(), clock)
    _, models, deployments = await everything(store)
    assert {deployment.target.deleted for deployment in deployments} == {False}
    await builtins.sync(store, CATALOG, without, clock)
    async with store.begin() as tx:  # as the reconciler does once their workers are gone
        for deployment in deployments:
            await tx.deployments.remove(deployment.id)
    await builtins.sync(store, CATALOG, without, clock)
    assert (await everything(store))[1:] == ([], [])
    await builtins.sync(store, CATALOG, Settings(), clock)
    _, models, deployments = await everything(store)
    assert (len(models), len(deployments)) == (3, 3)


ACCOUNT = "11111111-1111-4111-8111-111111111111"


async def deploy(store, clock, name, parameters):
    """A user's own model and deployment, made from the built-in embedding template."""
    signed = {
        "account_id": ACCOUNT,
        "created_at": clock.now(),
        "created_by_user_id": "somebody",
        "created_by_identity_type": IdentityType.USER,
    }
    template_id = builtins.template_id("onnx-embedding")
    async with store.begin() as tx:
        template = await tx.templates.get(template_id, None)
        model = Model(
            id=f"model-{name}",
            name=name,
            model_type=ModelType.EMBEDDING,
            model_template_id=template_id,
            model_creation_parameters=parameters,
            **signed,
        )
        await tx.models.add(model)
        target = Target(
            min_workers=0, max_workers=1, per_worker=1, revision=revision_of(snapshot_of(template, model, {}))
        )
        await tx.deployments.add(
            Deployment(id=f"deployment-{name}", name=name, model_id=model.id, target=target, **signed)
        )


async def test_users_deployments_follow_a_built_in_template_as_far_as_they_fit(store, clock):
    await builtins.sync(store, CATALOG, Settings(), clock)
    async with store.begin() as tx:
        await tx.accounts.add_account(Account(ACCOUNT, "users", clock.now()))
    await deploy(store, clock, "fits", {"weights": "file:/m.onnx"})
    await deploy(store, clock, "misfit", {"weights": "file:/m.onnx", "query_prefix": "query: "})

    def later(entry):
        if entry.name != "onnx-embedding":
            return entry
        parameters = tuple(each for each in entry.card.parameters if each.name != "query_prefix")
        return replace(entry, tag="2", card=replace(entry.card, parameters=parameters))

    await builtins.sync(store, replace(CATALOG, templates=tuple(map(later, CATALOG.templates))), Settings(), clock)
    async with store.read() as tx:
        targets = {name: (await tx.deployments.get(f"deployment-{name}", None)).target for name in ("fits", "misfit")}
    assert targets["fits"].generation == 2
    assert targets["misfit"].generation == 1
