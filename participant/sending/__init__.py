"""A contribution on its way out: protected, signed, whole on disk before the first byte goes."""
