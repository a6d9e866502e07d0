"""Scoring without a web framework: decoding, detectors, the loop that runs them, training."""
