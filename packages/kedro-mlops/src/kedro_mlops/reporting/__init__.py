"""Pictures and pages for people: Plotly figures, and HTML that needs no network."""
