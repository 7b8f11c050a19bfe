"""`sonosphere bench build`: the builder against what an ideal one could do on the same cores."""
