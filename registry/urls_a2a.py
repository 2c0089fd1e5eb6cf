"""Addresses that A2A clients know, below `/a2a/`."""

from django.urls import path

from registry import views

urlpatterns = [path("versions/<ver:pk>/agent-card.json", views.a2a_card, name="a2a_card")]
