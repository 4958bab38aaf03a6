"""Documentation site. `nox -s site` builds it, and a warning is an error."""

from __future__ import annotations

from release import __version__

project = "release"
author = "the authors of release"
release = version = __version__
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
nitpicky = True
html_theme = "furo"
html_title = f"release {__version__}"
html_show_copyright = False
linkcheck_anchors = False
