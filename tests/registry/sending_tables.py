"""Tables as tests send them."""

from arm.models import Tenant, User
from registry import services
from registry.models import TableImport

TEMPLATES, INSTANCES = TableImport.Kind.TEMPLATES, TableImport.Kind.INSTANCES
AGENTS = "slug,name,risk,tags,owners\na,A,high,x y,alice\nb,B,,,\n"


def send(tenant: Tenant, actor: User, text: str | bytes, kind: TableImport.Kind = TEMPLATES) -> TableImport:
    data = text.encode() if isinstance(text, str) else text
    return services.send_table(tenant=tenant, kind=kind, file_name="t.csv", data=data, actor=actor)


def apply(table: TableImport, actor: User) -> TableImport:
    return services.apply_table(table=table, actor=actor, reason="the new agents")


def long_table(rows: int) -> str:
    return "slug,name\n" + "".join(f"agent-{n},Agent {n}\n" for n in range(rows))
