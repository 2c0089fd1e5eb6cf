"""Addresses that A2A clients know."""

from django.urls import path

from registry import views

urlpatterns = [
    path("a2a/versions/<ver:pk>/agent-card.json", views.a2a_card, name="a2a_card"),
    path("a2a/templates/<tpl:pk>/agent-card.json", views.a2a_card_of_template, name="a2a_card_of_template"),
    path(".well-known/agent-card.json", views.a2a_card_of_host, name="a2a_card_of_host"),
]
