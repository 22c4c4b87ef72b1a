"""report.html in a real browser: what a reader sees, and what a keyboard and a phone reach."""

import pathlib

import pytest
from reports import audit_report
from study_examples import study_content
from sweeps import results

from arl_tf.experiments.sweeps import study_report, sweep_report
from arl_tf.report import report_files

BROWSER, DRIVER = pathlib.Path("/usr/bin/chromium"), pathlib.Path("/usr/bin/chromedriver")
webdriver = pytest.importorskip("selenium.webdriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (BROWSER.exists() and DRIVER.exists()),
        reason=f"needs Debian's chromium and chromium-driver: no {BROWSER}, or no {DRIVER}",
    ),
]
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
COUNT = 40
SHOWN = "return [...document.querySelectorAll('#wall img')].filter(i => i.offsetParent)"


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(str(DRIVER))
    with webdriver.Chrome(options=options, service=service) as driver:
        yield driver


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An audit's files, with leakage, every kind of picture and a last page that isn't full."""
    written = tmp_path_factory.mktemp("audit")
    found = audit_report(leakage=0.37, count=COUNT)
    found.content["reference"]["workdir"] = "/a/long/path/without/any/space/" + "x" * 80
    # The longest name there is, and figures of many digits.
    found.content["attacks"][1]["name"] = "decoder_other_domain"
    found.per_image["decoder_other_domain"] = found.per_image["linear"]
    for values in (*found.content["attacks"], found.content["worst"]):
        values["psnr"] = {**values["psnr"], "value": 20.28, "ci95": [20.13, 20.44]}
    report_files.write_report(
        found, written, embed_originals=True, reference_pictures=found.pictures["linear"]
    )
    return written


@pytest.fixture
def page(browser, folder):
    """The report, opened from disk on a wide and light screen."""
    emulate(browser, width=1280, scheme="light")
    browser.get((folder / "report.html").as_uri())
    return browser


def emulate(browser, *, width, scheme, media=""):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [feature]})


def press(browser, *keys):
    webdriver.ActionChains(browser).send_keys(*keys).perform()


def shown_pictures(browser):
    return browser.execute_script(f"{SHOWN}.map(i => i.src)")


def text_of(browser, identifier):
    return browser.execute_script(
        "return document.getElementById(arguments[0]).textContent", identifier
    )


def test_verdict_on_the_page_is_the_reports(page, folder):
    shown = " ".join(text_of(page, "verdict").split())
    assert shown == report_files.read_content(folder)["verdict"]


def test_page_has_no_error_and_asks_nothing_of_a_network(browser, folder):
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    emulate(browser, width=1280, scheme="light")
    browser.get((folder / "report.html").as_uri())
    assert browser.get_log("browser") == []
    sent = [
        entry["message"]
        for entry in browser.get_log("performance")
        if '"Network.requestWillBeSent"' in entry["message"]
    ]
    assert sent, "the log shows the page's own request, at least"
    assert not [message for message in sent if '"url":"http' in message]


def test_pictures_are_really_shown_and_have_alternative_texts(page):
    pictures = page.execute_script(
        f"return ({SHOWN.removeprefix('return ')}).map(i => [i.complete, i.naturalWidth, i.alt])"
    )
    assert len(pictures) == 4 * 12
    assert all(complete and width == 32 and alt for complete, width, alt in pictures)


def test_plots_are_drawn_and_have_names(page):
    plots = page.execute_script(
        "return [...document.querySelectorAll('svg')].map("
        "s => [s.getAttribute('aria-label'), s.getBoundingClientRect().height])"
    )
    assert len(plots) == 4
    assert all(name and height > 100 for name, height in plots)


def test_keyboard_alone_pages_to_the_end_and_back(page):
    keys = webdriver.Keys
    first = shown_pictures(page)
    for _ in range(10):
        press(page, keys.TAB)
        if page.switch_to.active_element.get_attribute("id") == "next":
            break
    press(page, keys.ENTER)
    assert text_of(page, "page") == "Page 2 of 4"
    assert not set(shown_pictures(page)) & set(first)
    # Further than there are pages: the focus stays, and so does the last page.
    press(page, keys.ENTER, keys.SPACE, keys.ENTER)
    assert text_of(page, "page") == "Page 4 of 4"
    assert page.switch_to.active_element.get_attribute("aria-disabled") == "true"
    page.find_element("id", "previous").send_keys(keys.ENTER, keys.ENTER, keys.ENTER, keys.ENTER)
    assert shown_pictures(page) == first


def test_page_number_is_announced(page):
    announced = page.find_element("id", "page")
    assert announced.get_attribute("aria-live") == "polite"
    assert announced.text == "Page 1 of 4"


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_moves_while_paging(page, width):
    emulate(page, width=width, scheme="light")
    places = set()
    for _ in range(4):
        places.add(
            tuple(
                page.execute_script(
                    "return ['pager', 'next', 'attackers', 'provenance_box'].map(n => {"
                    " const box = document.getElementById(n).getBoundingClientRect();"
                    " return box.left + ',' + (box.top + scrollY); })"
                )
            )
        )
        page.find_element("id", "next").send_keys(webdriver.Keys.ENTER)
    assert len(places) == 1


@pytest.fixture(scope="module")
def pages(folder, tmp_path_factory):
    """Every page of ours with tables."""
    written = tmp_path_factory.mktemp("pages")
    sweep_report.write_page(results(), written, None)
    study_report.write_page(study_content(), written)
    return [folder / "report.html", written / "sweep.html", written / "report.html"]


# The cells of every table that stick out of the window or of what surrounds them; a figure that is
# cut off or that would have to be scrolled to is lost on paper and to most readers.
LOST = """
const wide = document.documentElement.clientWidth;
return [...document.querySelectorAll('table')].filter(t => !t.closest('details')).flatMap(
  t => [...t.querySelectorAll('th, td')].filter(cell => {
    const box = cell.getBoundingClientRect();
    const hidden = cell.closest('thead') && getComputedStyle(cell.closest('thead')).position;
    if (hidden === 'absolute' || !cell.childNodes.length) return false;
    return box.width < 8 || box.left < 0 || box.right > wide + .5
      || cell.scrollWidth > cell.clientWidth + 1;
  }).map(cell => t.id + ': ' + cell.textContent));
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 390, 768, 1025, 1100, 1280])
def test_no_page_scrolls_sideways_and_no_column_is_lost(browser, pages, width, scheme):
    emulate(browser, width=width, scheme=scheme)
    for path in pages:
        browser.get(path.as_uri())
        inner, scroll = browser.execute_script(
            "return [document.documentElement.clientWidth, document.documentElement.scrollWidth]"
        )
        assert scroll <= inner <= width, path.name
        assert browser.execute_script(LOST) == []


# Figures of one word, and names of tables, that run over two lines. Hashes may.
BROKEN = """
return [...document.querySelectorAll('td, caption')].filter(e => !e.closest('.facts')).flatMap(
  e => [...e.childNodes].filter(n => n.nodeType === 3 && n.data.trim()).filter(n => {
    if (e.tagName === 'TD' && /\\s/.test(n.data.trim())) return false;
    const range = document.createRange();
    range.selectNodeContents(n);
    return new Set([...range.getClientRects()].map(r => Math.round(r.top))).size > 1;
  }).map(n => n.data));
"""


@pytest.mark.parametrize("width", [360, 390])
def test_no_figure_is_broken_over_two_lines_on_a_phone(browser, pages, width):
    emulate(browser, width=width, scheme="light")
    for path in pages:
        browser.get(path.as_uri())
        assert browser.execute_script(BROKEN) == []


@pytest.mark.parametrize("width", [1025, 1100, 1280])
def test_every_header_is_shown_on_a_wide_screen(browser, pages, width):
    emulate(browser, width=width, scheme="light")
    for path in pages:
        browser.get(path.as_uri())
        heads = browser.find_elements("css selector", "thead th")
        shown = [head.text for head in heads if head.is_displayed()]
        assert len(shown) == len(heads) and all(shown)


@pytest.mark.parametrize("width", [390, 768])
def test_every_row_is_a_card_with_a_name_for_each_figure_on_a_narrow_screen(browser, pages, width):
    emulate(browser, width=width, scheme="light")
    for path in pages:
        browser.get(path.as_uri())
        tables = browser.execute_script(
            """return [...document.querySelectorAll('table.cards')].map(t => ({
                 heads: [...t.querySelectorAll('thead th')].slice(1).map(h => h.textContent),
                 rows: [...t.querySelectorAll('tbody tr')].map(r => ({
                   name: r.querySelector('th').textContent,
                   left: r.getBoundingClientRect().left,
                   cells: [...r.querySelectorAll('td')].filter(c => c.offsetParent).map(c => [
                     getComputedStyle(c, '::before').content.replaceAll('"', ''),
                     c.textContent])}))}))"""
        )
        assert tables
        for table in tables:
            heads = [" ".join(head.split()) for head in table["heads"]]
            # One card below the other on a phone, several side by side on a tablet.
            assert (len({row["left"] for row in table["rows"]}) == 1) or width > 390
            for row in table["rows"]:
                assert row["name"] and row["cells"]
                for label, figure in row["cells"]:
                    assert " ".join(label.removesuffix(": ").split()) in heads, (label, heads)
                    assert figure.strip()


def test_provenance_is_folded_and_opens_by_keyboard(page):
    table = page.find_element("id", "provenance")
    assert not table.is_displayed()
    page.find_element("css selector", "#provenance_box > summary").send_keys(webdriver.Keys.ENTER)
    assert table.is_displayed()


def colors(browser, selector):
    return browser.execute_script(
        "const s = getComputedStyle(document.querySelector(arguments[0]));"
        "return [s.color, s.backgroundColor, s.fill]",
        selector,
    )


def luminance(color):
    """Relative luminance of "rgb(r, g, b)" (WCAG 2.2)."""
    channels = [int(part) / 255 for part in color.strip("rgba()").split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_page_and_plots_follow_the_colour_scheme_with_contrast(page, scheme):
    emulate(page, width=1280, scheme=scheme)
    ink, background, _ = colors(page, "body")
    assert (luminance(background) > 0.5) == (scheme == "light")
    assert contrast(ink, background) > 7
    assert contrast(colors(page, ".muted, small")[0], background) > 4.5
    assert contrast(colors(page, "#scale text")[2], background) > 7
    verdict, behind, _ = colors(page, "#verdict")
    assert contrast(verdict, behind) > 7


def test_print_is_light_and_without_controls(page):
    emulate(page, width=800, scheme="dark", media="print")
    assert luminance(colors(page, "body")[1]) > 0.9
    assert not page.find_element("id", "pager").is_displayed()


def test_print_shows_every_page_and_the_screen_only_one_again(page):
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert len(shown_pictures(page)) == 4 * COUNT
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    assert len(shown_pictures(page)) == 4 * 12


def test_without_scripts_every_picture_is_shown_and_no_control(page):
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page.refresh()
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert len(shown_pictures(page)) == 4 * COUNT
    assert not page.find_element("id", "pager").is_displayed()
