"""What the tests of pages share: a browser, and a reading of a page's markup without one."""

import shutil
from html.parser import HTMLParser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes, its addresses and its texts."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.addresses = []
        self.texts = {}
        self._open = None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, sorted(name for name, _ in attributes)))
        given = dict(attributes)
        self.addresses += [given[name] for name in ("href", "src") if name in given]
        self._open = given.get("id", tag)

    def handle_data(self, data):
        self.texts[self._open] = self.texts.get(self._open, "") + data


class Opener:
    """Opens pages, and makes sure that nothing goes wrong in them and nothing is loaded."""

    def __init__(self, browser):
        self._browser = browser
        self._contexts, self._problems, self._requests = [], [], []

    def __call__(self, path, width=1400, height=1000, link="", **options):
        viewport = {"width": width, "height": height}
        context = self._browser.new_context(viewport=viewport, **options)
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: self._problems.append(message.text))
        page.on("pageerror", lambda error: self._problems.append(str(error)))
        page.on("dialog", lambda dialog: self._problems.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: self._requests.append(request.url))
        page.goto(path.as_uri() + link)
        return page

    def close(self):
        for context in self._contexts:
            context.close()
        assert self._problems == []
        assert [url for url in self._requests if not url.startswith(("file:", "data:"))] == []
