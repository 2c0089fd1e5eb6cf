"""Pages of certifications: what can be certified, what is, and how to issue and revoke; and what a suite measures."""

from typing import Any

from django.urls import reverse, reverse_lazy

from arm.models import User
from arm.panels import rights_of_visitor
from arm.permissions import visible
from arm.rights import Right
from arm.views import FilteredList
from registry.forms import ReasonForm
from registry.views.commands import Command, Create

from .. import forms, services
from ..filters import CertificationFilter, CertificationTypeFilter
from ..models import Certification, CertificationType, Suite


class CertificationList(FilteredList):
    queryset = Certification.objects.for_list()
    view_right = Right.READ_DIRECTORY
    filterset_class = CertificationFilter
    template_name = "evaluation/certification_list.html"
    columns = (
        ("id", "typeid"),
        ("type", "type.slug"),
        ("version", "version.typeid"),
        ("genome", "genome_digest"),
        ("state", "standing"),
        ("from", "valid_from"),
        ("until", "valid_until"),
        ("issued by", "issued_by"),
        ("revoked", "revoked_at"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        may = Right.APPROVE_VERSION.value in rights_of_visitor(self.request)
        shown = [row.pk for row in context["object_list"]]
        mine = visible(Certification.objects.filter(pk__in=shown), self.request.user, Right.APPROVE_VERSION)
        context["may_certify"] = may
        context["may_revoke"] = set(mine.order_by().values_list("pk", flat=True)) if may and shown else set()
        return context


class IssueCertification(Create):
    form_class = forms.CertifyForm
    act_right = Right.APPROVE_VERSION
    heading, submit = "Certify a version", "Certify"
    intro = "You vouch for exactly its genome. Nobody certifies what they have built or submitted."
    cancel_url = reverse_lazy("evaluation:certification_list")  # type: ignore[assignment]
    success_message = "The version is certified."

    def get_initial(self) -> dict[str, Any]:
        return {name: self.request.GET.get(name, "") for name in ("type", "version")}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Certification:
        return services.issue_certification(actor=actor, **cleaned)


class RevokeCertification(Command):
    queryset = Certification.objects.for_list()
    form_class = ReasonForm
    act_rights = frozenset({Right.APPROVE_VERSION})
    heading, submit, tone = "Revoke the certification", "Revoke it", "danger"
    intro = "It counts no more from this moment. Where a role asks for it, an incident says so; nothing is stopped."
    success_message = "The certification is revoked."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Certification:
        return services.revoke_certification(certification=self.object, actor=actor, reason=cleaned["reason"])


class CertificationTypeList(FilteredList):
    queryset = CertificationType.objects.order_by("name", "pk")
    view_right = Right.READ_DIRECTORY
    filterset_class = CertificationTypeFilter
    template_name = "evaluation/certification_type_list.html"
    columns = (("id", "typeid"), ("slug", "slug"), ("name", "name"), ("days", "days"))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may = Right.EDIT_SUITE.value in rights_of_visitor(self.request)
        return super().get_context_data(may_edit=may, **kwargs)


class CreateCertificationType(Create):
    form_class = forms.CertificationTypeForm
    act_right = Right.EDIT_SUITE
    heading, submit = "New certification", "Store it"
    intro = "What can be certified of versions, and for how long."
    cancel_url = reverse_lazy("evaluation:certification_type_list")  # type: ignore[assignment]
    success_message = "Versions can be certified for it."

    def run(self, actor: User, cleaned: dict[str, Any]) -> CertificationType:
        return services.create_certification_type(tenant=self.object, actor=actor, **cleaned)

    def get_success_url(self) -> str:
        return reverse("evaluation:certification_type_list")


class DeclareCapability(Command):
    queryset = Suite.objects.all()
    form_class = forms.CapabilityForm
    act_rights = frozenset({Right.EDIT_SUITE})
    heading, submit = "What the suite measures", "Save"
    intro = "A version's score for the capability is the share of cases that its newest finished run passed."
    success_message = "It is kept what the suite measures."

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "capability": self.object.capability}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Suite:
        return services.declare_capability(suite=self.object, actor=actor, **cleaned)
