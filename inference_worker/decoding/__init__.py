"""From files to values: what one is (sniff), what it holds (decoder), a small view (previews)."""
