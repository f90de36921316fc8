"""The only room with sqlite3: an index over the run folders that can be thrown away and made again at any time."""
