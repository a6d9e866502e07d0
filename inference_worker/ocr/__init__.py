"""Text in pictures: whether there may be any, what tesseract reads, and how it is put in order."""
