"""Progressive columns: the equation, what is frozen, and one column alone."""

import pytest
import torch
from torch.nn import functional as F

from models.encoders import build
from models.progressive import ProgressiveEncoder
from models.sound import SoundEncoder


def column() -> SoundEncoder:
    return SoundEncoder(2, width=3, depth=3).double()


def sound() -> torch.Tensor:
    return torch.randn(4, 2, 40, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 4 - 6


def three() -> ProgressiveEncoder:
    torch.manual_seed(0)
    two = ProgressiveEncoder.beside(column(), column(), adapter=2).double()
    return ProgressiveEncoder.beside(two, column()).double()


def test_one_column_is_the_plain_encoder():
    plain = column().eval()
    assert torch.equal(ProgressiveEncoder([plain]).eval()(sound()), plain(sound()))


def test_every_layer_is_the_equation():
    """From the weights by their names alone; scales and statistics are not those of the start, where 1 and 0 hide much."""
    encoder = three().eval()
    w = encoder.state_dict()
    for name, value in w.items():
        if name.endswith(("scale", "running_mean", "running_var")):
            value.copy_(torch.rand(value.shape, generator=torch.Generator().manual_seed(len(name))) + 0.5)
    below = [(sound() + 6) / 4] * 3
    for i in range(3):
        here = []
        for k in range(3):
            at = f"columns.{k}.layers.{i}."
            total = F.conv2d(below[k], w[at + "0.weight"], w[at + "0.bias"], stride=2, padding=1)
            for j in range(k if i else 0):
                of = f"laterals.{k}.{i - 1}.{j}."
                small = F.conv2d(w[of + "scale"] * below[j], w[of + "layers.0.weight"], w[of + "layers.0.bias"])
                total = total + F.conv2d(F.leaky_relu(small, 0.2), w[of + "layers.2.weight"], w[of + "layers.2.bias"], 2, 1)
            mean, variance, scale, shift = (w[at + "1." + n] for n in ("running_mean", "running_var", "weight", "bias"))
            here.append(F.leaky_relu(F.batch_norm(total, mean, variance, scale, shift), 0.2))
        below = here
    assert torch.allclose(encoder(sound()), below[-1], atol=1e-12)


def test_the_layers_are_connected():
    """A column hears those before it: other weights there are other features here; but not the reverse."""
    encoder = three().eval()
    before = encoder(sound())
    first = ProgressiveEncoder(encoder._encoders[:1]).eval()
    alone = first(sound())
    with torch.no_grad():
        encoder.get_parameter("columns.2.layers.0.0.weight").mul_(2)
        assert torch.equal(first(sound()), alone)
        encoder.get_parameter("columns.2.layers.0.0.weight").div_(2)
        encoder.get_parameter("columns.0.layers.0.0.weight").mul_(2)
    assert not torch.allclose(encoder(sound()), before)


def test_only_the_last_column_learns_and_old_statistics_stay():
    encoder = three().train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        encoder(sound()).square().mean().backward()
        reached = {name for name, p in encoder.named_parameters() if p.grad is not None}
        assert reached == {name for name, _ in encoder.named_parameters() if name.startswith(("columns.2.", "laterals.2."))}
        optimizer.step()
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith(("columns.2.", "laterals.2.")) for name in changed)
    assert any("running_mean" in name for name in changed)


def test_a_new_column_keeps_what_was_there():
    torch.manual_seed(0)
    two = ProgressiveEncoder.beside(column(), column(), adapter=2).double()
    kept = {name: value.clone() for name, value in two.state_dict().items()}
    wider = ProgressiveEncoder.beside(two, column()).state_dict()
    assert all(torch.equal(wider[name], value) for name, value in kept.items())


def test_built_again_from_its_description():
    encoder = three().eval()
    again = build(encoder.description).double().eval()
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(sound()), encoder(sound()))
    assert encoder.out_size(40, 32) == tuple(encoder(sound()).shape[2:])


def test_columns_of_two_kinds_are_refused():
    with pytest.raises(ValueError, match="same settings"):
        ProgressiveEncoder([SoundEncoder(2, width=3), SoundEncoder(2, width=4)])
    with pytest.raises(ValueError, match="one or more"):
        ProgressiveEncoder([])
