"""Pages of evidence."""

from django.urls import path

from . import views

app_name = "evidence"
urlpatterns = [
    path("log/", views.LogPage.as_view(), name="log"),
    path("log/<chg:record>/proof/", views.LeafProof.as_view(), name="leaf_proof"),
]
