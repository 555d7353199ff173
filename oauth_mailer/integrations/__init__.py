"""Bridges to frameworks; each file is one, and needs what it is named after."""
