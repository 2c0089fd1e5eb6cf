"""What the parser says when a body, or one span in it, cannot be read."""


class Undecodable(ValueError):
    """The whole body is not what its headers promise; nothing of it was taken."""


class BodyTooLarge(ValueError):
    """The body, after decompression, is larger than allowed."""


class UnsupportedMedia(ValueError):
    """A content type or content encoding that this endpoint does not read."""


class BadSpan(ValueError):
    """One span (or one attribute in it) is malformed; its neighbours are not."""


class WrongValue(ValueError):
    """An attribute's value does not fit its field; the span is taken and the value kept beside it."""
