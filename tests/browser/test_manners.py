"""What holds on every page: keys reach all of it, colours are told apart, links keep a view."""

import re

import painting
import pytest
from playwright.sync_api import expect

from primus_lens.web import pages

SCHEMES = ["light", "dark"]
GROUNDS = ["card", "ground", "head", "hover", "soft"]
TEXTS = ["ink", "dim", "accent", "bad", "good", "warn"]
STOP = """() => {
  const here = document.activeElement;
  const seen = [here, here.closest("tr")].filter(Boolean);
  const rings = seen.some((one) => getComputedStyle(one).outlineStyle !== "none");
  const words = here.getAttribute("aria-label") || here.innerText || here.title
    || [...(here.labels ?? [])].map((one) => one.innerText).join(" ");
  const box = here.getBoundingClientRect();
  const inside = box.width > 0 && box.bottom > 0 && box.top < innerHeight;
  return here === document.body ? null : { rings, inside, words: words.trim(),
    what: here.outerHTML.slice(0, 120) };
}"""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_texts_and_lines_stand_out_from_what_is_behind_them(scheme):
    """Each colour of text has a contrast of 4.5 on each ground, of lines and edges 3 (WCAG 2.2)."""
    colours = _palette(scheme)
    faint = {
        (text, ground): round(_contrast(colours[text], colours[ground]), 2)
        for text in TEXTS
        for ground in GROUNDS
        if _contrast(colours[text], colours[ground]) < 4.5
    }
    soft = {"bad": "bad-soft", "warn": "warn-soft"}
    faint |= {p: 0 for p in soft.items() if _contrast(colours[p[0]], colours[p[1]]) < 4.5}
    lines = [*(f"run-{n}" for n in range(1, 9)), "edge", "accent"]
    faint |= {(line, "card"): 0 for line in lines if _contrast(colours[line], colours["card"]) < 3}
    assert faint == {}


def test_the_dark_colours_are_the_same_by_choice_and_by_system():
    """The palette is written twice; both say the same."""
    css = (pages.STATIC / "app.css").read_text()
    chosen = re.search(r':root\[data-theme="dark"\] \{(.*?)\n\}', css, re.DOTALL)
    system = re.search(r':root:not\(\[data-theme="light"\]\) \{(.*?)\n  \}', css, re.DOTALL)
    assert chosen[1].split() == system[1].split()


@pytest.mark.parametrize(
    "path",
    [
        "/?q={workload}",
        "/workloads/{workload}",
        "/workloads/{workload}?tab=runs",
        "/workloads/{workload}?tab=framework",
        "/workloads/{workload}?tab=watch",
        "/compare?w={workload}",
    ],
)
def test_keys_alone_walk_a_page(page, report, workload, path):
    """Each stop of the Tab key is seen, has a ring and a name, and the last leads out again."""
    report(workload, {"loss": [3.0, 2.0], "lr": [1.0, 1.0]}, run={"config": {"lr": 1}})
    page.goto(path.format(workload=workload))
    expect(page.locator(".board tbody a, canvas, .panel").first).to_be_visible()
    expect(page.get_by_role("status").first).to_have_text(re.compile("live|every 10 s"))
    stops = []
    for _ in range(80):
        page.keyboard.press("Tab")
        stop = page.evaluate(STOP)
        if stop is None:
            break
        stops.append(stop)
    assert 9 < len(stops) < 80
    assert [one["what"] for one in stops if not (one["rings"] and one["inside"])] == []
    assert [one["what"] for one in stops if not one["words"]] == []


def test_numbers_are_written_as_people_read_them(page):
    """Short with a letter, few digits, an exponent where the number is tiny, words for the rest."""
    page.goto("/static/app.css")
    told = page.evaluate(
        """async (values) => {
          const say = await import("/static/say.js");
          return values.map(say.number);
        }""",
        [1234, 12_345, 1_250_000, 3.4e-5, 0.123456, 0, -2.5, "NaN", "Infinity", None, 1e300],
    )
    assert told == [
        *("1,234", "12.35k", "1.25M", "3.4e-5", "0.1235", "0", "-2.5"),
        *("NaN", "\u221e", "\u2013", "1e300"),
    ]


def test_who_wants_less_motion_gets_none(page, report, workload):
    """With that wish of the reader nothing moves, not even while a page is loading."""
    report(workload, {"loss": [1.0]})
    page.emulate_media(reduced_motion="reduce")
    page.route("**/api/v1/workloads**", lambda _: None)  # never answered
    page.goto("/")
    expect(page.get_by_role("status", name="Loading workloads")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0


def test_a_link_shows_a_fresh_browser_the_very_same_picture(page, chromium, report, workload):
    """After many choices the address alone gives another reader the same pixels and switches."""
    for run in ("a", "b"):
        values = [3.0 / (i + 1) + (run == "b") for i in range(200)]
        report(workload, {"loss": values, "lr": values}, run_id=run, run={"name": run})
    page.goto(f"/workloads/{workload}")
    page.get_by_role("button", name="Log", exact=True).click()
    page.get_by_label("Smoothing").fill("0.6")
    page.get_by_role("button", name="1 · a").click()
    page.locator("#filter").fill("^loss$")
    over = page.locator(".u-over").first
    expect(over).to_be_visible()
    box = over.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 50, steps=4)
    page.mouse.up()
    page.mouse.move(0, 0)
    expect(page.locator("footer").first).to_contain_text("smoothed 0.6 · zoomed")
    context = chromium.new_context(viewport=page.viewport_size, base_url=page.url)
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator("footer").first).to_have_text(page.locator("footer").first.inner_text())
    page.reload()
    expect(page.locator("footer").first).to_contain_text("zoomed")
    views = [_view(one) for one in (page, other)]
    assert views[0] == views[1]
    context.close()


def test_the_back_button_undoes_each_choice(page, report, workload):
    """Axis, scale, run, tab, full screen, filter: each is one step back, in reverse order."""
    report(workload, {"loss": [3.0, 2.0]}, run_id="a", run={"name": "a"})
    report(workload, {"loss": [3.0, 2.0]}, run_id="b", run={"name": "b"})
    page.goto(f"/workloads/{workload}")
    expect(page.locator("canvas").first).to_be_visible()
    choices = [
        lambda: page.get_by_role("button", name="Time", exact=True).click(),
        lambda: page.get_by_role("button", name="Log", exact=True).click(),
        lambda: page.get_by_role("button", name="2 · b").click(),
        lambda: page.get_by_role("button", name="Metrics").click(),
        lambda: page.get_by_role("link", name="Watch").click(),
        lambda: page.get_by_role("link", name="Charts").click(),
    ]
    addresses = [page.url]
    for choose in choices:
        choose()
        expect(page).not_to_have_url(addresses[-1])
        addresses.append(page.url)
    assert len(set(addresses)) == len(addresses) - 1  # the last tab is the first again
    for address in reversed(addresses[:-1]):
        page.go_back()
        expect(page).to_have_url(address)
    for name in ("Step", "Linear", "1 · a", "2 · b"):
        button = page.get_by_role("button", name=name, exact=True)
        expect(button).to_have_attribute("aria-pressed", "true")


def _view(page):
    """What the choices of a page look like: which switches are pressed, and the chart's pixels."""
    expect(page.locator("canvas").first).to_be_visible()
    page.evaluate("document.fonts.ready")
    painting.settle(page)
    pressed = page.locator("[aria-pressed=true]").all_inner_texts()
    return pressed, page.locator("canvas").first.evaluate("(canvas) => canvas.toDataURL()")


def _palette(scheme):
    css = (pages.STATIC / "app.css").read_text()
    root = r":root \{" if scheme == "light" else r':root\[data-theme="dark"\] \{'
    block = re.search(root + r"(.*?)\n\}", css, re.DOTALL)[1]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block))


def _contrast(one, other):
    """The contrast ratio of two colours, as WCAG defines it."""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour):
    digits = colour.lstrip("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
