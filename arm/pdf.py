"""HTML to PDF/A-3u with WeasyPrint. Nothing is fetched: what a document shows is in its HTML.

The same HTML, files and time give the same bytes.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import weasyprint
from weasyprint.urls import URLFetcher


class NothingFetched(ValueError):
    """A document asked for something outside of itself."""


class _Nothing(URLFetcher):  # type: ignore[misc]
    def fetch(self, url: str, headers: Any = None) -> Any:
        if url.startswith("data:"):
            return super().fetch(url, headers)
        raise NothingFetched(f"A document may not fetch {url[:80]}.")


def render(html: str, *, files: Mapping[str, bytes], identifier: bytes, at: datetime) -> bytes:
    """The PDF of this HTML, made at this time, with `files` (name: content) embedded as data of the document."""
    attached = [
        weasyprint.Attachment(
            string=content, name=name, description=name, created=at, modified=at, relationship="Data"
        )
        for name, content in files.items()
    ]
    document = weasyprint.HTML(string=html, base_url="about:blank", url_fetcher=_Nothing())
    made: bytes = document.write_pdf(
        pdf_variant="pdf/a-3u", attachments=attached, pdf_identifier=identifier, custom_metadata=True
    )
    return made
