"""Exchange with the rest of the field: weights out in forms that others load, weights of others in, and a card that says what
they are.

`export` and `import_encoder` are what the command line calls; each tells in one sentence what it wrote.
"""

from train.exchange.export import FORMS, Form, export
from train.exchange.imported import import_encoder
from train.exchange.moco_file import moco_state
from train.exchange.read import read_weights
from train.exchange.whole import Written

__all__ = ["FORMS", "Form", "Written", "export", "import_encoder", "moco_state", "read_weights"]
