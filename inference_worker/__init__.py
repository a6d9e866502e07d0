"""Scoring without a web framework: types, registry, sandboxed decoding, runtime, detectors, training."""
