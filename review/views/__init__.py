"""The edge to the browser: read the request, call one use case, render."""
