"""Pages of work that goes on elsewhere: a part of them renews itself until it is over."""

from typing import Any

from django.http import HttpRequest, HttpResponse


class RenewsItself:
    """For detail views of something `live`. While it goes on the part is fetched anew; when it has come out, the page is
    fetched once more. `part_name`: the template of the part alone."""

    part_name: str
    template_name: str
    request: HttpRequest
    object: Any

    @property
    def partial(self) -> bool:
        return bool(self.request.htmx) and not self.request.htmx.boosted  # type: ignore[attr-defined]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer: HttpResponse = super().get(request, *args, **kwargs)  # type: ignore[misc]
        if self.partial and not self.object.live:
            answer["HX-Refresh"] = "true"
        return answer

    def get_template_names(self) -> list[str]:
        return [self.part_name if self.partial else self.template_name]
