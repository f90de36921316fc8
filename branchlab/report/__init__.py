"""Pages: static HTML that shows what ``lab`` returns. It owns no rule and no query."""
