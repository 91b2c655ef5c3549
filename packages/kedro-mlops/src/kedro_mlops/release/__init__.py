"""A decision in; a proven Bento, and only then a champion, out."""
