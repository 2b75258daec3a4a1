"""The role of a person who signs in with the Hub."""

from __future__ import annotations

from api.oauth import Person
from workers.account_records import Role
from workers.settings import Settings


def role_of(person: Person, settings: Settings) -> Role:
    """Return admin for who made the Space, owner for people and members that the settings name, else the default."""
    if person.sub == settings.space_creator_user_id:
        return Role.ADMIN
    names = {organization.preferred_username.casefold() for organization in person.orgs or ()}
    is_named = person.preferred_username.casefold() in settings.sign_in_owners
    if is_named or not names.isdisjoint(settings.sign_in_organizations):
        return Role.OWNER
    return Role(settings.newcomer_role)
