"""Pages of evidence."""

from django.urls import path

from . import views

app_name = "evidence"
urlpatterns = [
    path(".well-known/arm-keys.json", views.public_keys, name="public_keys"),
    path(".well-known/arm-a2a-jwks.json", views.public_a2a_keys, name="public_a2a_keys"),
    path("evidence/log/", views.LogPage.as_view(), name="log"),
    path(
        "evidence/log/<chg:about>/proof/", views.LeafProof.as_view(), {"kind": "change"}, name="change_proof"
    ),
    path(
        "evidence/log/<evd:about>/proof/",
        views.LeafProof.as_view(),
        {"kind": "artefact"},
        name="artefact_proof",
    ),
    path("evidence/verify/", views.VerifyFile.as_view(), name="verify"),
]
