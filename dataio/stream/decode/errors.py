"""What a decoder says of bytes that it cannot make a picture or a sound of, whatever the library below raised."""


class DecodeError(ValueError):
    """The bytes of a clip cannot be decoded, or are not what they should be.

    reason: what is wrong, in a few words, without the clip's name, which a decoder does not know. part: which of the members, where
    a clip has several of a kind, as with frames in JPEGs.
    """

    def __init__(self, reason: str, part: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.part = reason, part
