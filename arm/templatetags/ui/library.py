"""The one tag library that every component registers itself with."""

from django import template

register = template.Library()
