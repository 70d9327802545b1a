"""People and accounts, to and from the wire."""

from modelyard.control.people.members import Invitation
from modelyard.control.people.members import MemberChange as Change
from modelyard.control.people.oversight import Member
from modelyard.domain.accounts import Account, Identity, IdentityType, Membership, MemberState, Role
from modelyard.http.api.wire import accounts as wire


def user(identity: Identity) -> wire.UserAnswer:
    return wire.UserAnswer(
        id=identity.id,
        email=identity.email,
        access_profiles=[_profile(membership) for membership in identity.memberships],
        first_name=identity.first_name,
        last_name=identity.last_name,
        is_deployment_admin=identity.is_administrator,
        is_organization_admin=identity.is_administrator,
    )


def _profile(membership: Membership) -> wire.AccessProfile:
    account = membership.account
    return wire.AccessProfile(
        id=membership.id,
        account=wire.AccountAnswer(id=account.id, name=account.name, status=account.status),
        identity=wire.IdentityAnswer(id=membership.identity_id, type=membership.identity_type),
        role=membership.effective,
    )


def account(account: Account) -> wire.AccountDetail:
    return wire.AccountDetail(id=account.id, name=account.name, status=account.status, created_at=account.created_at)


def invitation(body: wire.MemberCreate) -> Invitation:
    return Invitation(body.email, Role(body.role), body.first_name, body.last_name)


def member_change(body: wire.MemberChange | wire.ServiceAccountChange) -> Change:
    return Change(
        role=None if body.role is None else Role(body.role),
        state=None if body.status is None else MemberState(body.status),
        name=body.name if isinstance(body, wire.ServiceAccountChange) else None,
    )


def member(member: Member) -> wire.MemberAnswer:
    identity, membership = member.identity, member.membership
    return wire.MemberAnswer(
        id=identity.id,
        account_id=membership.account.id,
        type=identity.type,
        email=identity.email if identity.type is IdentityType.USER else None,
        first_name=identity.first_name,
        last_name=identity.last_name,
        role=membership.role,
        status=membership.state,
    )


def service_account(member: Member) -> wire.ServiceAccountAnswer:
    identity, membership = member.identity, member.membership
    return wire.ServiceAccountAnswer(
        id=identity.id,
        account_id=membership.account.id,
        name=identity.first_name or "",
        role=membership.role,
        status=membership.state,
        created_at=identity.created_at,
    )
