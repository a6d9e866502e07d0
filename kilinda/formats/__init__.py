"""How dates are written: day first, 24 hours, in UTC."""
