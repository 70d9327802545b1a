"""Lists: order, pages, filters, and the way each database takes to find them."""

import random
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text

from modelyard.domain.accounts import Account, IdentityType
from modelyard.domain.deployments import Observed
from modelyard.domain.models import ModelVendor
from modelyard.domain.templates import BundleConfig, ModelType
from modelyard.errors import InvalidRequest
from modelyard.store import PageQuery, deployments, models, templates

DAY = timedelta(days=1)


@pytest.fixture
async def many(store, make, accounts, now):
    """Thirty models in two accounts, three of each created at the same time."""
    made = []
    for number in range(30):
        account = accounts[0] if number % 3 else accounts[1]
        kind = ModelType.AGENT if number % 2 else ModelType.GENERIC
        made.append(make.model(created_at=now + number // 3 * DAY, account_id=account, model_type=kind))
    shuffled = random.Random(1).sample(made, len(made))
    async with store.begin() as tx:
        for model in shuffled:
            await tx.models.add(model)
    return sorted(made, key=lambda model: (model.created_at, model.id), reverse=True)


async def test_newest_first_by_default_on_every_page(store, many, accounts):
    async with store.read() as tx:
        for limit in (1, 7, 10, 29, 30, 31):
            found = []
            for page in range(1, 30 // limit + 2):
                listed = await tx.models.page(PageQuery(accounts, page, limit))
                assert (listed.total, listed.page, listed.limit) == (30, page, limit)
                found += listed.items
            assert found == many


async def test_a_page_past_the_end_is_empty(store, many, accounts):
    async with store.read() as tx:
        for page in (4, 1000, 10**30):
            listed = await tx.models.page(PageQuery(accounts, page, 10))
            assert (list(listed.items), listed.total) == ([], 30)


async def test_accounts_are_those_asked_for(store, many, accounts):
    async with store.read() as tx:
        for asked in ((accounts[0],), (accounts[1],), (accounts[1], accounts[1]), (accounts[2],), ()):
            listed = await tx.models.page(PageQuery(asked))
            assert listed.items == [model for model in many if model.account_id in asked]
            assert listed.total == len(listed.items)
        assert (await tx.models.page(PageQuery(None))).items == many


async def test_more_accounts_than_are_merged(store, make, now):
    made = []
    async with store.begin() as tx:
        for number in range(40):
            await tx.accounts.add_account(Account(f"account {number}", "one of many", now))
            made.append(make.model(account_id=f"account {number}"))
            await tx.models.add(made[-1])
        listed = await tx.models.page(PageQuery(tuple(f"account {number}" for number in range(40)), 2, 15))
    assert listed.items == made[::-1][15:30]


async def test_filters_are_equalities(store, many, accounts):
    async with store.read() as tx:
        for where in (
            {"model_type": "AGENT"},
            {"model_type": ModelType.AGENT, "account_id": accounts[1]},
            {"name": many[3].name},
            {"name": "unknown"},
            {"model_template_id": None},
        ):
            listed = await tx.models.page(PageQuery(accounts, where=where))
            assert listed.items == [
                model for model in many if all(getattr(model, name) == value for name, value in where.items())
            ]
            assert listed.total == len(listed.items)


async def test_what_comes_in_meanwhile_moves_no_older_page(store, many, make, accounts):
    async with store.begin() as tx:
        before = await tx.models.page(PageQuery(accounts, 2, 10, (("created_at", False),)))
        await tx.models.add(make.model(created_at=many[0].created_at + DAY))
        after = await tx.models.page(PageQuery(accounts, 2, 10, (("created_at", False),)))
        assert before.items == after.items == many[::-1][10:20]
        newest = await tx.models.page(PageQuery(accounts, 1, 11))
        assert newest.items[1:] == many[:10]


async def test_several_keys_the_most_important_first(store, many, accounts):
    async with store.read() as tx:
        sort = (("model_type", False), ("created_at", True), ("name", False), ("model_type", True))
        found = []
        for page in (1, 2, 3):
            found += (await tx.models.page(PageQuery(accounts, page, 10, sort))).items
    expected = sorted(many, key=lambda model: model.name)
    expected.sort(key=lambda model: model.created_at, reverse=True)
    expected.sort(key=lambda model: model.model_type)
    assert found == expected


@pytest.mark.parametrize("noun", ["templates", "models", "deployments"])
async def test_an_unknown_key_is_told_with_those_there_are(store, accounts, noun):
    async with store.read() as tx:
        for field in ("nonsense", "version", "lease_owner", "", "name; DROP TABLE models", "ü\x00\ud800"):
            with pytest.raises(InvalidRequest) as invalid:
                await getattr(tx, noun).page(PageQuery(accounts, sort=((field, False),)))
            assert invalid.value.errors[0].loc == ("query", "sort_by")
            assert "created_at" in invalid.value.errors[0].msg


def text_of(value):
    """JSON as the store keeps it."""
    return None if value is None else msgspec.json.encode(value, order="sorted").decode()


def nothing_first(key):
    return lambda entity: (key(entity) is not None, key(entity) if key(entity) is not None else "")


WORDS = ["Zebra", "apfel", "Äpfel", "10", "9", "", "a b", "a_b", "ab", "🙂"]

OWNED = ("id", "name", "created_at", "account_id", "created_by_user_id", "created_by_identity_type")

MODEL_FIELDS = ("model_type", "display_name", "model_vendor", "base_model_id", "model_card", "training_data_card")
MODEL_FIELDS += ("description", "model_template_id", "model_group_id")

MODEL_KEYS = {name: (lambda model, name=name: getattr(model, name)) for name in (*OWNED, *MODEL_FIELDS)} | {
    "base_model_metadata": lambda model: text_of(model.base_model_metadata),
    "model_creation_parameters": lambda model: text_of(model.model_creation_parameters),
    "model_group": lambda model: model.model_group_id,
    "request_schema": lambda model: model.model_type,
    "response_schema": lambda model: model.model_type,
    "supports_multi_turn": lambda model: model.model_type,
    "deployment_count": lambda model: WORDS.index(model.name),
    "deployments": lambda model: WORDS.index(model.name),
}


def _model(make, template, account, number):
    word = WORDS[number]
    some = None if number % 4 == 0 else WORDS[-number]
    return make.model(
        account_id=account,
        name=word,
        created_by_user_id=WORDS[::-1][number],
        created_by_identity_type=list(IdentityType)[number % 2],
        model_type=list(ModelType)[number % 7],
        model_vendor=None if some is None else list(ModelVendor)[number],
        display_name=some,
        description=some,
        model_template_id=None if number % 2 else template.id,
        model_creation_parameters={} if some is None else {"z": some, "a": number},
        model_group_id=some,
        base_model_id=some,
        base_model_metadata=None if some is None else {some: [number]},
        model_card=some,
        training_data_card=some,
    )


@pytest.mark.parametrize("field", sorted(models.SORT_FIELDS))
async def test_models_sort_by_every_published_field(store, make, accounts, field):
    template = make.template()
    made = [_model(make, template, accounts[number % 2], number) for number in range(len(WORDS))]
    async with store.begin() as tx:
        await tx.templates.add(template)
        for model in made:
            await tx.models.add(model)
            for _ in range(WORDS.index(model.name)):
                await tx.deployments.add(make.deployment(model))
    await check_order(store, "models", made, accounts, field, MODEL_KEYS[field])


DEPLOYMENT_KEYS = {name: (lambda deployment, name=name: getattr(deployment, name)) for name in OWNED} | {
    "model_creation_parameters": lambda deployment: text_of(deployment.model_creation_parameters),
    "vendor_configuration": lambda deployment: text_of(deployment.vendor_configuration),
    "deployment_metadata": lambda deployment: text_of(deployment.deployment_metadata),
    "status": lambda deployment: "READY" if deployment.observed.ready_revision else "UPDATE_PENDING",
    "model_instance_id": lambda deployment: deployment.model_id,
    "model_endpoint_id": lambda deployment: deployment.id,
}


@pytest.mark.parametrize("field", sorted(deployments.SORT_FIELDS))
async def test_deployments_sort_by_every_published_field(store, make, accounts, field):
    parents = [make.model(), make.model()]
    made = [
        make.deployment(
            parents[number // 2 % 2],
            account_id=accounts[number % 2],
            name=word,
            created_by_user_id=WORDS[::-1][number],
            created_by_identity_type=list(IdentityType)[number % 2],
            model_creation_parameters={"weights": WORDS[-number]},
            vendor_configuration={WORDS[-number]: number},
            deployment_metadata=None if number % 4 == 0 else {"a": WORDS[-number]},
            observed=Observed(ready_revision="first" if number % 3 else None),
        )
        for number, word in enumerate(WORDS)
    ]
    async with store.begin() as tx:
        for model in parents:
            await tx.models.add(model)
        for deployment in made:
            await tx.deployments.add(deployment)
    await check_order(store, "deployments", made, accounts, field, DEPLOYMENT_KEYS[field])


TEMPLATE_KEYS = {
    name: (lambda template, name=name: getattr(template, name))
    for name in (*OWNED, "endpoint_type", "model_type", "endpoint_protocol")
} | {
    "vendor_configuration": lambda template: text_of(template.bundle),
    "model_creation_parameters_schema": lambda template: text_of(template.creation_schema),
    "model_request_parameters_schema": lambda template: text_of(template.request_schema),
}


@pytest.mark.parametrize("field", sorted(templates.SORT_FIELDS))
async def test_templates_sort_by_every_published_field(store, make, accounts, field):
    made = [
        make.template(
            account_id=accounts[number % 2],
            name=word,
            created_by_user_id=WORDS[::-1][number],
            model_type=list(ModelType)[number % 7],
            bundle=BundleConfig("r", WORDS[-number], "t"),
        )
        for number, word in enumerate(WORDS)
    ]
    async with store.begin() as tx:
        for template in made:
            await tx.templates.add(template)
    await check_order(store, "templates", made, accounts, field, TEMPLATE_KEYS[field])


async def check_order(store, noun, made, accounts, field, key):
    """Both directions, in pages, from one account and merged from two."""
    for asked in (accounts[:1], accounts[:2]):
        for descending in (False, True):
            expected = sorted((each for each in made if each.account_id in asked), key=lambda each: each.id)
            if descending:
                expected.reverse()
            expected.sort(key=nothing_first(key), reverse=descending)
            found = []
            async with store.read() as tx:
                for page in range(1, 6):
                    query = PageQuery(asked, page, 3, ((field, descending),))
                    found += [each.id for each in (await getattr(tx, noun).page(query)).items]
            assert found == [each.id for each in expected]


async def test_a_page_of_deployments_has_their_workers(store, make, accounts, now):
    first, second = await make.deployed(store, 2)
    workers = (make.worker(first), make.worker(first))
    async with store.begin() as tx:
        await tx.deployments.claim_due("me", now + DAY, 10, 10)
        assert await tx.deployments.write_workers(first.id, "me", workers)
        listed = await tx.deployments.page(PageQuery(accounts))
    assert listed.items == [second, replace(first, workers=workers)]


async def test_ten_thousand_at_once(store, make, accounts):
    async with store.begin() as tx:
        session = tx.models._session
        rows = models.rows
        await session.execute(
            models.table.insert(), [rows.model_values(make.model(account_id=accounts[n % 2])) for n in range(2500)]
        )
        listed = await tx.models.page(PageQuery(accounts, 1, 10_000))
    assert [model.created_at for model in listed.items] == sorted(
        (model.created_at for model in listed.items), reverse=True
    )
    assert len(listed.items) == listed.total == 2500


PLANS = {
    "one account": PageQuery(("a",)),
    "two accounts": PageQuery(("a", "b")),
    "deep": PageQuery(("a", "b"), page=9, limit=100),
    "by type": PageQuery(("a", "b"), where={"model_type": "AGENT"}),
    "by name": PageQuery(("a", "b"), sort=(("name", False),)),
}


@pytest.mark.parametrize("query", PLANS.values(), ids=PLANS)
async def test_pages_are_found_along_an_index(store, make, now, query, kind):
    async with store.begin() as tx:
        for account in ("a", "b"):
            await tx.accounts.add_account(Account(account, account, now))
        session = tx.models._session
        entities = [make.model(account_id="ab"[n % 2], model_type=ModelType.AGENT) for n in range(2000)]
        await session.execute(models.table.insert(), [models.rows.model_values(model) for model in entities])
        await session.execute(text("ANALYZE"))
        statements = []
        execute = session.execute

        async def watched(statement, parameters=None):
            statements.append(statement)
            return await execute(statement, parameters)

        session.execute = watched
        assert len((await tx.models.page(query)).items) == 100
        # count, ids, rows
        plan = await explained(session.connection, statements[1], kind)
    assert "TEMP B-TREE" not in plan
    assert "->  Sort" not in plan
    assert "Seq Scan" not in plan
    assert "SCAN" not in plan


async def explained(connection, statement, kind):
    compiled = statement.compile(connection.sync_connection, compile_kwargs={"literal_binds": True})
    prefix = "EXPLAIN QUERY PLAN" if kind == "sqlite" else "EXPLAIN ANALYZE"
    rows = await connection.exec_driver_sql(f"{prefix} {compiled}")
    return "\n".join(str(row[-1]) for row in rows)
