"""Training: greedy pretraining level by level, and Keras' `fit` with many steps per call."""
