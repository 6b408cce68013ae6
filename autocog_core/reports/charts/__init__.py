"""Charts as static SVG: small functions, colors from the page's style, nothing from outside."""
