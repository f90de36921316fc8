"""The only room with textual: screens that show what ``lab`` returns."""
