"""What a site file can say, told from the one place that declares it: docs/site.md."""

from __future__ import annotations

from schemas import pages
from schemas.loading import shipped_names, shipped_text
from schemas.site import Resource, Site


def site_page() -> str:
    """docs/site.md: every setting of a site file, and the shipped ones."""
    lines = [
        "# What a site file can say",
        "",
        "Generated from `schemas/site.py`; a test compares the two. A site file is TOML and the only place that names a queue:",
        "ETL workers (`etl run --site`) and trainings (`train submit --site`) read the same one. A key that is not here is",
        "an error. What a site file leaves out comes from dask-jobqueue's `jobqueue.yaml`, where the site has one, else from",
        "the queue. `rjobs site check mysite.toml` says what of it holds; `--submit` also tries it with a tiny job of each",
        "resource and one worker.",
        "",
        *pages.settings(pages.plain(Site)),
        *pages.section("## [cpu] and [gpu]", Resource),
        "",
        "## Shipped",
        "",
        "`rjobs site show slurm > mysite.toml` is a beginning.",
    ]
    for name in shipped_names("sites"):
        lines += ["", f"### {name}", "", "```toml", shipped_text("sites", name).rstrip(), "```"]
    return "\n".join(lines)
