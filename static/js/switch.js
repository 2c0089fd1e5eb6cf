// The theme switch: as the system, light, dark, and round again. theme.js applies the remembered choice on load.
const ORDER = ["auto", "light", "dark"];
const NAMES = { auto: "as the system", light: "light", dark: "dark" };

function current() {
  return document.documentElement.dataset.theme ?? "auto";
}

function show() {
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    button.setAttribute("aria-label", `Theme: ${NAMES[current()]}`);
    button.title = `Theme: ${NAMES[current()]}`;
  }
}

function choose(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "auto") localStorage.removeItem("arm-theme");
    else localStorage.setItem("arm-theme", theme);
  } catch (refused) {
    console.info("This browser keeps no theme for this site:", refused.message);
  }
  show();
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-theme-switch]")) choose(ORDER[(ORDER.indexOf(current()) + 1) % ORDER.length]);
});

show();
