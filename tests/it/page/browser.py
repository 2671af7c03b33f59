"""Looks at a report page with a headless Chromium.

In: the path of a page. Out: "all as expected", or the first assertion that does not hold. Nothing of ours is imported.
"""

import pathlib
import re
import shutil
import struct
import sys
import zlib
from fractions import Fraction

from playwright.sync_api import sync_playwright

QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
NUMBER = re.compile(r"^[+-]?\d+(\.\d+)?$")


def opened(browser, url, **settings):
    """A page that is watched: what it says and what it asks for."""
    page = browser.new_context(**settings).new_page()
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(url)
    return page


def pixels(png):
    """The red, green and blue of every pixel, row by row."""
    at, data, width, height, kind = 8, b"", 0, 0, 0
    while at < len(png):
        (length,) = struct.unpack(">I", png[at:at + 4])
        name, body = png[at + 4:at + 8], png[at + 8:at + 8 + length]
        if name == b"IHDR":
            width, height, depth, kind = struct.unpack(">IIBB", body[:10])
            assert depth == 8 and kind in (2, 6), (depth, kind)
        elif name == b"IDAT":
            data += body
        at += 12 + length
    size = 4 if kind == 6 else 3
    raw, before, start, colours = zlib.decompress(data), bytearray(width * size), 0, set()
    for _ in range(height):
        way, row = raw[start], bytearray(raw[start + 1:start + 1 + width * size])
        for i in range(len(row)):
            left = row[i - size] if i >= size else 0
            above, corner = before[i], before[i - size] if i >= size else 0
            if way == 1:
                row[i] = (row[i] + left) & 255
            elif way == 2:
                row[i] = (row[i] + above) & 255
            elif way == 3:
                row[i] = (row[i] + (left + above) // 2) & 255
            elif way == 4:
                guess = left + above - corner
                nearest = min((abs(guess - left), 0, left), (abs(guess - above), 1, above), (abs(guess - corner), 2, corner))
                row[i] = (row[i] + nearest[2]) & 255
        colours.update(bytes(row[i:i + 3]) for i in range(0, len(row), size))
        before, start = row, start + 1 + width * size
    return colours


def charts_show_something(page):
    charts = page.locator("svg.chart")
    assert charts.count() >= 3, charts.count()
    for index in range(charts.count()):
        chart = charts.nth(index)
        box = chart.bounding_box()
        assert box["width"] > 300 and box["height"] > 30, box
        assert len(chart.locator("> title").text_content()) > 10
        assert len(chart.locator("> desc").text_content()) > 20
        drawn = chart.evaluate("""svg => [...svg.querySelectorAll('rect, polyline, circle')].filter(one => {
            const box = one.getBBox(), style = getComputedStyle(one);
            const line = getComputedStyle(document.documentElement).getPropertyValue('--line');
            return box.width > 0 && (box.height > 0 || one.tagName === 'polyline') && (style.fill !== 'none' || style.stroke !== 'none');
        }).length""")
        assert drawn > 0, f"chart {index} is empty"
        if index < 2:
            vivid = [c for c in pixels(chart.screenshot()) if max(c) - min(c) > 60]
            assert vivid, f"chart {index} has no coloured pixel"


def key(text, is_number):
    if is_number:
        return Fraction(text) if NUMBER.match(text) else None
    return text.encode("utf-16-be")


CELLS = """([table, column]) => [...document.querySelectorAll('table.sorts')[table].tBodies[0].rows]
    .map(row => row.cells[column].dataset.v ?? row.cells[column].textContent.trim())"""


def sorting_works(page):
    tables = page.locator("table.sorts")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    sorted_columns = 0
    for table in range(tables.count()):
        headers = tables.nth(table).locator("thead th")
        if tables.nth(table).locator("tbody tr").count() < 2:
            continue
        for column in range(headers.count()):
            header = headers.nth(column)
            assert header.get_attribute("scope") == "col"
            is_number = header.get_attribute("data-sort") == "number"
            before = sorted(page.evaluate(CELLS, [table, column]))
            for word, backwards in (("ascending", False), ("descending", True)):
                if column % 2:
                    header.locator("button").focus()
                    page.keyboard.press("Enter")
                else:
                    header.locator("button").click()
                assert header.get_attribute("aria-sort") == word, word
                texts = page.evaluate(CELLS, [table, column])
                assert sorted(texts) == before, "a row is lost"
                keys = [key(text, is_number) for text in texts]
                known = [one for one in keys if one is not None]
                assert keys[:len(known)] == known, "what is unknown comes last"
                assert known == sorted(known, reverse=backwards), (table, column, word, texts[:20])
            sorted_columns += 1
            others = tables.nth(table).locator("thead th[aria-sort=ascending], thead th[aria-sort=descending]")
            assert others.count() == 1
    assert sorted_columns > 10, sorted_columns


CONTRAST = """() => {
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = one => {
        for (; one; one = one.parentElement) {
            const colour = parts(getComputedStyle(one).backgroundColor);
            if (colour.length < 4 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const low = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walk.nextNode());) {
        const one = node.parentElement;
        if (!node.data.trim() || ['SCRIPT', 'STYLE', 'title', 'desc'].includes(one.tagName)) continue;
        const style = getComputedStyle(one);
        const [front, back] = [parts(one.tagName === 'text' ? style.fill : style.color), behind(one)];
        const [a, b] = [light(front), light(back)];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) low.push([node.data.trim().slice(0, 40), front, back, ratio]);
    }
    return low;
}"""


def looks_right_in(browser, url, theme):
    page = opened(browser, url, color_scheme=theme, viewport={"width": 1200, "height": 900})
    low = page.evaluate(CONTRAST)
    assert not low, (theme, low[:5])
    charts_show_something(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert page.said == [] and page.asked == [url], (page.said, page.asked)
    page.context.close()
    return background


def fits_a_phone(browser, url):
    page = opened(browser, url, viewport={"width": 375, "height": 700})
    wide = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth]")
    assert max(wide) <= 375, wide
    page.context.close()


def prints_on_a4(browser, url):
    # 182 mm of paper between the margins.
    page = opened(browser, url, viewport={"width": 688, "height": 1000}, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 688
    assert not page.locator("nav").is_visible()
    boxes = [one.bounding_box() for one in page.locator("main > section").all()]
    assert len({round(box["x"]) for box in boxes}) == 1, "one column"
    assert all(one["y"] + one["height"] <= other["y"] + 1 for one, other in zip(boxes, boxes[1:]))
    assert page.evaluate("getComputedStyle(document.querySelector('thead')).display") == "table-header-group"
    hidden = page.evaluate("""[...document.querySelectorAll('.scroll, .plot')].filter(one =>
        one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1).map(one => one.getAttribute('aria-label'))""")
    assert hidden == [], hidden
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pdf = page.pdf(prefer_css_page_size=True)
    sizes = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", pdf)
    assert sizes and all(abs(float(w) - 595) < 1.5 and abs(float(h) - 842) < 1.5 for w, h in sizes), sizes[:3]
    page.context.close()


def runs_no_other_script(browser, url):
    page = opened(browser, url)
    page.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.spoken = 1';
        document.body.append(script);
        const image = document.createElement('img');
        image.src = 'https://example.com/x.png';
        document.body.append(image);
    }""")
    page.wait_for_timeout(200)
    assert page.evaluate("window.spoken") is None
    assert len(page.said) >= 2, page.said
    page.context.close()


def main():
    url = pathlib.Path(sys.argv[1]).resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        backgrounds = {theme: looks_right_in(browser, url, theme) for theme in ("light", "dark")}
        assert backgrounds["light"] != backgrounds["dark"], backgrounds
        page = opened(browser, url, viewport={"width": 1200, "height": 900})
        sorting_works(page)
        assert page.said == [] and page.asked == [url], (page.said, page.asked)
        page.context.close()
        fits_a_phone(browser, url)
        prints_on_a4(browser, url)
        runs_no_other_script(browser, url)
        browser.close()
    print("all as expected")


main()
