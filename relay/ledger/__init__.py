"""The books: every acknowledged job from admission on, in SQL."""
