"""One picture an evaluation: what was learned, on held-out clips that were chosen without looking."""
