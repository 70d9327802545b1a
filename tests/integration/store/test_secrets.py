"""Secrets of templates when the key that seals them changes."""

from modelyard.control.secret_env import renew_secret_env
from modelyard.control.vault import Vault
from modelyard.domain.accounts import IdentityType
from modelyard.domain.revisions import Author, Revision
from modelyard.domain.snapshots import snapshot_of
from modelyard.domain.templates import BundleConfig

OLD, NEW = bytes(32), bytes(range(32))


async def test_a_new_key_seals_templates_and_what_deployments_are_made_of(store, make, now):
    sealed = {"TOKEN": Vault([OLD]).seal("hf_one"), "OTHER": Vault([OLD]).seal("another")}
    template = make.template(bundle=BundleConfig("local", "image", "tag", secret_env=sealed))
    plain = make.template()
    [deployment] = await make.deployed(store)
    author = Author("somebody", IdentityType.USER)
    made = [snapshot_of(each, make.model(), {}) for each in (template, plain)]
    async with store.begin() as tx:
        for each in (template, plain):
            await tx.templates.add(each)
        for snapshot in made:
            await tx.revisions.add(Revision(deployment.id, 0, "first", now, author, "made", snapshot))
    assert await renew_secret_env(store, Vault([OLD])) == 0
    assert await renew_secret_env(store, Vault([NEW])) == 0, "what no key opens is left as it is"
    assert await renew_secret_env(store, Vault([NEW, OLD])) == 2
    assert await renew_secret_env(store, Vault([NEW, OLD])) == 0
    async with store.read() as tx:
        after = await tx.templates.get(template.id, None)
        assert await tx.templates.get(plain.id, None) == plain
        second, first = await tx.revisions.of(deployment.id)
    assert second.snapshot == made[1]
    assert (first.number, first.revision, first.created_at) == (1, "first", now)
    for bundle in (after.bundle, first.snapshot.bundle):
        opened = {name: Vault([NEW]).unseal(value) for name, value in bundle.secret_env.items()}
        assert opened == {"TOKEN": "hf_one", "OTHER": "another"}
