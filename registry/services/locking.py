"""Take a row for this transaction alone, and read it as it then is."""

from typing import TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Model, QuerySet

from arm.models import Tenant

from ..models import AgentTemplate, AgentVersion

M = TypeVar("M", bound=Model)


def locked(rows: QuerySet[M], pk: UUID, *, referable: bool = False) -> M:
    """The row with what `rows` joins to it, after everybody who held it has committed. `referable`: others may store
    rows that refer to it meanwhile, for whoever holds many of them for long.

    Two statements: joined in the locking one, a neighbour would be what it was before the wait.
    """
    rows.model._default_manager.select_for_update(no_key=referable).only("pk").get(pk=pk)
    return rows.get(pk=pk)


def referred(row: Model) -> None:
    """Wait here for whoever has locked a row that the caller is about to refer to. The foreign key would wait as long
    (FOR KEY SHARE), but after the new row has taken its place in unique indexes, where the other then waits for it."""
    table = connection.ops.quote_name(row._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT FROM {table} WHERE id = %s FOR KEY SHARE", [row.pk])


def hold_agent(template: AgentTemplate) -> AgentTemplate:
    """The agent, held for this transaction: numbers and genomes of its versions are given one at a time. Others may store
    rows that refer to it meanwhile.

    The tenant first, which new rows refer to: whoever registers agents holds it before it comes to an agent."""
    referred(Tenant(pk=template.tenant_id))
    return locked(AgentTemplate.objects.all(), template.pk, referable=True)


def hold_with_agent(version: AgentVersion) -> AgentVersion:
    """The version as it is now, and its agent before it: of two drafts that are given one genome, the second sees the
    first."""
    hold_agent(AgentTemplate(pk=version.template_id, tenant_id=version.tenant_id))
    return locked(AgentVersion.objects.select_related("template", "genome"), version.pk)
