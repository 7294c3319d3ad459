"""When a page has painted what it says."""

# Preact runs the effects that draw on a canvas after the frame in which the text beside it appears.
_AFTER_EFFECTS = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"


def settle(page):
    """Wait until the canvases show what the text of the page already tells."""
    page.evaluate(_AFTER_EFFECTS)
