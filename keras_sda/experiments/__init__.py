"""From data to figures: train a model, keep what came of it in a run folder, draw it."""
