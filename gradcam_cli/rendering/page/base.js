"use strict";
/* What all pages share: their data, how their elements are made, how names and numbers are
   written, and the light or dark theme. */
const base = (() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const percent = (p) => `${(100 * p).toFixed(p > 0.9995 || p < 0.0005 ? 0 : 1)} %`;
  // The values of a regression come with their text; probabilities are written here.
  const textOf = ({ p, text }) => text ?? percent(p);
  const fileName = (path) => path.split(/[\\/]/).pop();
  const create = (tag, text = "", className = "") => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (className) element.className = className;
    return element;
  };

  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];
  const remembered = (() => {
    try {
      return localStorage.getItem("gradcam-theme");
    } catch {
      return null;
    }
  })();
  function setTheme(theme) {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    byId("theme-name").textContent = theme[0].toUpperCase() + theme.slice(1);
    byId("theme").dataset.now = theme;
    const spoken = theme === "auto" ? "automatic" : theme;
    byId("theme").setAttribute("aria-label", `Colours of the page: ${spoken}`);
  }
  byId("theme").addEventListener("click", () => {
    const theme = themes[(themes.indexOf(byId("theme").dataset.now) + 1) % themes.length];
    setTheme(theme);
    try {
      localStorage.setItem("gradcam-theme", theme);
    } catch {
      // Pages opened from a file may not be allowed to remember anything.
    }
  });
  setTheme(themes.includes(remembered) ? remembered : "auto");

  return { data, byId, create, percent, textOf, fileName };
})();
