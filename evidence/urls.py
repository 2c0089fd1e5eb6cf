"""Pages of evidence."""

from django.urls import path

from . import views

app_name = "evidence"
urlpatterns = [
    path(".well-known/arm-keys.json", views.public_keys, name="public_keys"),
    path("evidence/log/", views.LogPage.as_view(), name="log"),
    path("evidence/log/<chg:record>/proof/", views.LeafProof.as_view(), name="leaf_proof"),
]
