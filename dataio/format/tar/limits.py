"""Sizes of a tar, all in bytes: what the format says, and how much of it a walk takes."""

BLOCK = 512  # headers and data are padded to this
NAME_LIMIT = 4096  # of a member's name
HEADER_LIMIT = 256 * 1024  # of a PAX or GNU header that comes before a member
TEXT_LIMIT = 64 * 1024  # of a `json` member that the walk hands out on its way
TEXTS_LIMIT = 64 * 2**20  # of all that it hands out of one tar
WINDOW = 512 * 1024  # stays in a core's second-level cache, and holds the largest header and the largest json
GLANCE = 2 * 1024  # read at a header after a jump, when members are not read themselves
DIRECT = 1024  # shorter pieces are cheaper to sum twice than to combine
