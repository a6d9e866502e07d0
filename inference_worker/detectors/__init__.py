"""The models, each in a class of its own. Nothing here reaches for a model hub."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
