"""Evidence as pictures that can leave the platform: labelled, dated, and naming file and model."""
