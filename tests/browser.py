"""A page in a real browser, without a window: what it says to its console, what it asks for, what it draws."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Opened(NamedTuple):
    """A page after its scripts have run."""

    dom: str
    console: list[str]
    requests: list[str]

    def number(self, name: str) -> int:
        """A number that the page's script keeps in a data attribute of its root."""
        found = re.search(rf'<html[^>]* data-{name}="(\d+)"', self.dom)
        return int(found[1]) if found else -1


def opened(page: Path, width: int = 1280) -> Opened:
    """Open a page and let it finish, 20 s of its own clock at most."""
    assert CHROMIUM is not None
    log = page.parent / "net.json"
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-extensions",
        "--disable-background-networking", "--disable-component-update", "--no-first-run", "--enable-logging=stderr",
        f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},900", f"--log-net-log={log}",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = re.findall(r":CONSOLE[^\]]*\] (.*)", done.stderr)
    return Opened(done.stdout, console, _requests(log))


def _requests(log: Path) -> list[str]:
    """The addresses that the page asked the network for; the browser's own errands are not the page's."""
    events = json.loads(log.read_text())
    kinds = {number: name for name, number in events["constants"]["logEventTypes"].items()}
    asked = [event["params"] for event in events["events"] if kinds[event["type"]] == "URL_REQUEST_START_JOB"]
    return [each["url"] for each in asked if each.get("initiator", "not an origin") != "not an origin"]
