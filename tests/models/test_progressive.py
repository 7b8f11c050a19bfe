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
    encoder = three().eval()
    x = encoder.columns[0].prepare(sound())
    below = [x, x, x]
    for i in range(3):
        here = []
        for k in range(3):
            conv, norm, _ = encoder.columns[k].layers[i]
            total = F.conv2d(below[k], conv.weight, conv.bias, stride=2, padding=1)
            if i:
                for j in range(k):
                    lateral = encoder.laterals[k][i - 1][j]
                    down, _, up = lateral.layers
                    small = F.leaky_relu(F.conv2d(lateral.scale * below[j], down.weight, down.bias), 0.2)
                    total = total + F.conv2d(small, up.weight, up.bias, stride=2, padding=1)
            normed = (total - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
            here.append(F.leaky_relu(normed * norm.weight[:, None, None] + norm.bias[:, None, None], 0.2))
        below = here
    assert torch.allclose(encoder(sound()), below[-1], atol=1e-12)


def test_only_the_last_column_learns_and_old_statistics_stay():
    encoder = three().train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        encoder(sound()).square().mean().backward()
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
