"""Whose signatures on agent cards are believed: the list, an entry, its end."""

from typing import Any

from django.urls import reverse_lazy

from arm.models import User
from arm.rights import Right
from arm.views import FilteredList
from registry import forms, services
from registry.filters.exchange import CardKeyFilter
from registry.forms.exchange import CardKeyForm
from registry.models import CardKeySource
from registry.views.commands import Command, Create


class CardKeyList(FilteredList):
    queryset = CardKeySource.objects.select_related("created_by")
    view_right = Right.MANAGE_TENANT
    filterset_class = CardKeyFilter
    template_name = "registry/card_key_list.html"
    columns = (
        ("id", "typeid"),
        ("address", "url"),
        ("internal", "internal"),
        ("since", "since"),
        ("until", "until"),
    )


class TrustCardKeys(Create):
    form_class = CardKeyForm
    act_right = Right.MANAGE_TENANT
    view_right = Right.MANAGE_TENANT
    heading, submit = "Believe somebody's signatures", "Believe them"
    intro = (
        "An agent card that names this address and is not what its keys have signed will be refused. No other address that "
        "a card names is ever called."
    )
    cancel_url = reverse_lazy("registry:card_key_list")  # type: ignore[assignment]
    success_message = "Its signatures are verified from now on."

    def run(self, actor: User, cleaned: dict[str, Any]) -> CardKeySource:
        return services.trust_card_keys(tenant=self.object, actor=actor, **cleaned)


class EndCardKeys(Command):
    queryset = CardKeySource.objects.all()
    form_class = forms.ReasonForm
    view_right = Right.MANAGE_TENANT
    act_rights = frozenset({Right.MANAGE_TENANT})
    heading, submit, tone = "Believe these signatures no more", "End it", "danger"
    success_message = "Its signatures prove nothing here any more."

    def run(self, actor: User, cleaned: dict[str, Any]) -> CardKeySource:
        return services.end_card_keys(source=self.object, actor=actor, reason=cleaned["reason"])
