"""Pages of costs."""

from django.urls import path, register_converter

from arm.ids import converter

from . import views

for prefix in ("led", "cap", "rat"):
    register_converter(converter(prefix), prefix)

app_name = "costs"
urlpatterns = [
    path("", views.SpendPage.as_view(), name="spend"),
    path("ledger/", views.Ledger.as_view(), name="ledger"),
    path("ledger/<led:pk>/", views.EntryDetail.as_view(), name="entry_detail"),
    path("caps/", views.CapList.as_view(), name="cap_list"),
    path("caps/new/", views.SetCap.as_view(), name="cap_set"),
    path("caps/<cap:pk>/end/", views.EndCap.as_view(), name="cap_end"),
    path("rates/", views.RateList.as_view(), name="rate_list"),
    path("rates/new/", views.AddRate.as_view(), name="rate_add"),
    path("rates/<rat:pk>/end/", views.EndRate.as_view(), name="rate_end"),
]
