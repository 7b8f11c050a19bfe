"""`sonosphere bench ssl`: the paper's table on synthetic scenes: every task, every way to combine them, two baselines."""
