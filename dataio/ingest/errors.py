"""What the builder says when raw material is at fault."""


class SourceError(ValueError):
    """A recording, or a whole source, cannot be used; the message is one sentence for the user and names the file."""
