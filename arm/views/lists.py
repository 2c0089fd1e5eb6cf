"""Saved views: kept, shared, taken back, and opened by default."""

from typing import Any

from django.db.models import Q, QuerySet
from django.forms import Form
from django.http import Http404
from django.urls import reverse
from django.views.generic import TemplateView

from arm import listing, services
from arm.forms import ReasonForm, SaveViewForm, ViewForm
from arm.models import DefaultView, Membership, SavedView, User
from arm.panels import rights_of_visitor, seen_by_visitor
from arm.permissions import allowed
from arm.rights import Right
from arm.views.base import CommandView, CreateView, current_tenant


def shown(view: SavedView, words: bool = True) -> dict[str, Any]:
    """A view for a table: its list, its question in words, and why it cannot be asked any more."""
    found = listing.listings().get(view.list_name)
    return {
        "view": view,
        "list": found.label if found else view.list_name,
        "words": found.words(view.query) if found and words else [],
        "problems": listing.problems_of(view),
        "url": listing.address_of(view),
    }


class ViewList(TemplateView):
    """Every view that the visitor may open: their own, and what others share."""

    template_name = "arm/view_list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        tenant = current_tenant(self.request)
        rows = listing.seen_views(self.request.user, rights_of_visitor(self.request))
        rows = rows.order_by("list_name", "name", "pk")
        return super().get_context_data(
            own=[shown(view) for view in rows.filter(owner=self.request.user.pk)[:500]],
            others=[shown(view) for view in rows.exclude(owner=self.request.user.pk)[:500]],
            may_end=allowed(self.request.user, Right.MANAGE_DIRECTORY, tenant),
            **kwargs,
        )


class OnView(CommandView):
    """A command on a view that the visitor may see."""

    template_name = "arm/view_command.html"
    heading = submit = ""
    tone = "primary"

    object: SavedView

    def get_queryset(self) -> QuerySet[Any]:
        return listing.seen_views(self.request.user, rights_of_visitor(self.request)).select_related(
            "owner", "tenant"
        )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        said = {"heading": self.heading, "submit": self.submit, "tone": self.tone}
        return super().get_context_data(**{**said, "cancel": reverse("view_list"), **kwargs})

    def get_success_url(self) -> str:
        return listing.address_of(self.object) or reverse("view_list")


class SaveView(CreateView):
    """Keep the filters of a list under a name."""

    template_name = "arm/view_command.html"
    form_class = SaveViewForm
    success_message = "The view is saved."

    def setup(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if request.user.is_authenticated:
            name = (request.POST or request.GET).get("list", "")
            found = listing.listings().get(name)
            if found is None or found.right.value not in rights_of_visitor(request):
                raise Http404
            self.listing = found

    def get_form_kwargs(self) -> dict[str, Any]:
        may_share = services.may_share(self.request.user, self.listing, current_tenant(self.request))  # type: ignore[arg-type]
        return {**super().get_form_kwargs(), "may_share": may_share}

    def get_initial(self) -> dict[str, Any]:
        query = listing.canonical(self.request.GET.get("query", ""))
        return {"list": self.listing.name, "query": query}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query = (self.request.POST or self.request.GET).get("query", "")
        said = {
            "heading": f"Save a view of {self.listing.label}",
            "submit": "Save the view",
            "tone": "primary",
        }
        words = self.listing.words(listing.canonical(query))
        return super().get_context_data(**{**said, "words": words, "cancel": self.listing.url, **kwargs})

    def run(self, actor: User, cleaned: dict[str, Any]) -> SavedView:
        view = services.save_view(
            tenant=current_tenant(self.request),
            list_name=self.listing.name,
            name=cleaned["name"],
            query=cleaned["query"],
            shared=cleaned.get("shared", False),
            actor=actor,
        )
        if cleaned["default"]:
            services.set_default_view(view=view, actor=actor)
        return view


class ChangeView(OnView):
    """Another name, the filters that are on, shared or not."""

    form_class = ViewForm
    submit = "Save"
    success_message = "The view is changed."

    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().filter(owner=self.request.user.pk)

    @property
    def wanted(self) -> str:
        """The question that it would have from now on."""
        asked = self.request.POST if self.request.method == "POST" else self.request.GET
        return listing.canonical(asked["query"]) if "query" in asked else self.object.query

    def get_form_kwargs(self) -> dict[str, Any]:
        found = listing.listings().get(self.object.list_name)
        share = found is not None and services.may_share(self.request.user, found, self.object.tenant)  # type: ignore[arg-type]
        return {**super().get_form_kwargs(), "may_share": share or self.object.shared}

    def get_initial(self) -> dict[str, Any]:
        held = self.object
        return {
            "name": held.name,
            "shared": held.shared,
            "default": held.is_default,  # type: ignore[attr-defined]
            "query": self.wanted,
        }

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = listing.listings().get(self.object.list_name)
        words = found.words(self.wanted) if found else []
        before = found.words(self.object.query) if found and self.wanted != self.object.query else None
        heading = f"Change “{self.object}”"
        return super().get_context_data(**{"heading": heading, "words": words, "before": before, **kwargs})

    def run(self, actor: User, cleaned: dict[str, Any]) -> SavedView:
        asks = listing.canonical(cleaned["query"])
        view = services.change_view(
            view=self.object,
            actor=actor,
            name=cleaned["name"],
            query=asks if asks != self.object.query else None,
            shared=cleaned.get("shared"),
        )
        services.set_default_view(view=view, actor=actor, on=cleaned["default"])
        return view


class DefaultViewSet(OnView):
    """The list opens with it for the visitor, or no longer does."""

    form_class = Form

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        heading = f"Open the list with “{self.object}”"
        submit = "No longer" if self.object.is_default else "From now on"  # type: ignore[attr-defined]
        return super().get_context_data(**{"heading": heading, "submit": submit, **kwargs})

    def run(self, actor: User, cleaned: dict[str, Any]) -> None:
        on = not self.object.is_default  # type: ignore[attr-defined]
        services.set_default_view(view=self.object, actor=actor, on=on)
        name = (
            listing.listings()[self.object.list_name].label
            if self.object.list_name in listing.listings()
            else "The list"
        )
        self.success_message = f"{name} opens with “{self.object}” for you{'' if on else ' no longer'}."


class DeleteView(OnView):
    """End a view; the page names what others lose by it."""

    form_class = ReasonForm
    submit, tone = "Delete the view", "danger"
    success_message = "The view is deleted."

    def get_queryset(self) -> QuerySet[Any]:
        managed = seen_by_visitor(SavedView.objects.filter(shared=True), self.request, Right.MANAGE_DIRECTORY)
        return super().get_queryset().filter(Q(owner=self.request.user.pk) | Q(pk__in=managed.values("pk")))

    def get_form(self, form_class: Any = None) -> Form:
        form: Form = super().get_form(form_class)
        form.fields["reason"].required = False
        if not self.object.shared:
            del form.fields["reason"]
        return form

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        held = self.object
        others = DefaultView.objects.filter(view=held).exclude(user=self.request.user.pk)
        lost = [str(row.user) for row in others.select_related("user").order_by("user__username")]
        people = Membership.objects.filter(active=True).exclude(user=self.request.user.pk).count()
        ends = {"people": people if held.shared else 0, "default_of": lost}
        return super().get_context_data(**{"heading": f"Delete “{held}”", "ends": ends, **kwargs})

    def run(self, actor: User, cleaned: dict[str, Any]) -> None:
        services.delete_view(view=self.object, actor=actor, reason=cleaned.get("reason", ""))

    def get_success_url(self) -> str:
        return reverse("view_list")
