"""The page that describes the service: Swagger UI, as BentoML brings it along, under our title.

BentoML's own page hides the document's title, has another, and would load a tracker.
"""

from html import escape

HTML = b"text/html; charset=utf-8"
PAGE = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>{title}</title>
    <link rel="icon" href="./static_content/favicon-light-32x32.png">
    <link rel="stylesheet" href="./static_content/swagger-ui.css">
    <style>body {{ margin: 0 }} .topbar {{ display: none }}</style>
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="./static_content/swagger-ui-bundle.js"></script>
    <script src="./static_content/swagger-ui-standalone-preset.js"></script>
    <script src="./static_content/swagger-initializer.js"></script>
  </body>
</html>
"""


def page(title: str) -> bytes:
    """The page, which reads `/docs.json`."""
    return PAGE.format(title=escape(title)).encode()
