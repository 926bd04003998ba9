"""A sheet of tracking links to start with by hand."""

from typing import Any

HEADER = ["campaign", "tracking_url", "owner", "note"]


def demo_tabs(rows: int = 20, site: str = "http://127.0.0.1:8000") -> list[dict[str, Any]]:
    """Links to a site of one's own, a few of them odd: no link, a link made by a formula."""
    links: list[list[Any]] = [
        [f"Spring {i:03d}", f"{site}/r/{i}", "ann" if i % 2 else "bob", ""]
        for i in range(1, rows + 1)
    ]
    links[3][1] = ""
    links[5][1] = f'=HYPERLINK("{site}/r/6","see the offer")'
    links[6][3] = "00123"
    return [{"title": "Links", "rows": [HEADER, *links], "input": "USER_ENTERED"}]
