"""What a score rests on, found from outside the model: by taking parts of the content away."""
