"""The demo page in Debian's chromium, for the tests: started, opened, asked, watched."""

import base64
import json
import pathlib

import numpy as np
import pytest
from waiting import LONG

BROWSER, DRIVER = pathlib.Path("/usr/bin/chromium"), pathlib.Path("/usr/bin/chromedriver")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
OTHER_CHANNELS = ("Network.webSocketCreated", "Network.webTransportCreated")
needs_browser = pytest.mark.skipif(
    not (BROWSER.exists() and DRIVER.exists()),
    reason=f"needs Debian's chromium and chromium-driver: no {BROWSER}, or no {DRIVER}",
)


def start(webdriver, *arguments):
    """A browser that logs its console and its requests; a context manager."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in (*ARGUMENTS, *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))


def address(server):
    # A name that browsers take for a secure place: the camera is for these only.
    return f"http://localhost:{server.rest_api_port}/"


def set_width(browser, width):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )


def settle(browser, words):
    """Waits until the page says these words; returns all it says."""
    from selenium.webdriver.support import wait

    state = browser.find_element("id", "state")
    wait.WebDriverWait(browser, LONG).until(lambda _: words in state.text)
    return state.text


def visit(browser, server, width=1280):
    """Opens the page and waits for its drawn face."""
    set_width(browser, width)
    browser.get(address(server))
    settle(browser, "Shown: a drawn face")
    return browser


def drop(browser, content, name, kind):
    """Drops a file on the page."""
    browser.execute_script(
        """
        const [content, name, type] = arguments;
        const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], name, {type}));
        const options = {dataTransfer: transfer, bubbles: true, cancelable: true};
        document.body.dispatchEvent(new DragEvent('drop', options));""",
        base64.b64encode(content).decode(),
        name,
        kind,
    )


def prepared(browser, content, size, fit="crop"):
    """What the page makes of a picture file for the encoder: uint8 [size, size, 3]."""
    values = browser.execute_async_script(
        """
        const [content, size, fit, done] = arguments;
        const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
        import('/demo/picture.js').then(async ({decode, prepare}) => {
          const bitmap = await decode(new Blob([bytes]));
          done([...prepare(bitmap, bitmap.width, bitmap.height, size, fit)]);
        }).catch((error) => done(`failed: ${error.message}`));""",
        base64.b64encode(content).decode(),
        size,
        fit,
    )
    assert not isinstance(values, str), values
    return np.array(values, np.uint8).reshape(size, size, 3)


def requests(browser):
    """All that the browser has asked since it was last looked at: (method, URL, body) each.

    A body is None where there is none; one that the browser's log does not show is an error.
    """
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    assert not [
        e
        for e in events
        if e["method"] in ("Network.webSocketCreated", "Network.webTransportCreated")
    ]
    return [
        (sent["method"], sent["url"], body_of(sent))
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        for sent in [event["params"]["request"]]
    ]


def body_of(sent):
    if not sent.get("hasPostData"):
        return None
    return b"".join(base64.b64decode(entry["bytes"]) for entry in sent["postDataEntries"])
