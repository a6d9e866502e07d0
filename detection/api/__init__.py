"""The partner API: serializers in, one use case, serializers out."""
