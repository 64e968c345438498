"""Data: where signals come from. Downloads, bundled and generated signals, and their readers."""
