// The command palette: Ctrl-K or ⌘K, or its button. What it finds is what the search page finds; without a script
// that page is what there is. The dialog is the browser's own: it keeps the focus inside, and Escape closes it.
const dialog = document.getElementById("palette");
const KEPT = 8;
const OBJECT = /\/[a-z]{2,4}_[0-7][0-9a-z]{25}\/$/;

function store(key, value) {
  try {
    if (value === undefined) return JSON.parse(localStorage.getItem(key) ?? "[]");
    localStorage.setItem(key, JSON.stringify(value));
  } catch (refused) {
    console.info("This browser keeps no recent pages:", refused.message);
  }
  return [];
}

function forget() {
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith("arm-recent-")) localStorage.removeItem(key);
  } catch (refused) {
    console.info("This browser keeps no recent pages:", refused.message);
  }
}

class Palette {
  constructor(element) {
    this.element = element;
    this.input = element.querySelector("input");
    this.hits = element.querySelector("[role=listbox]");
    this.status = element.querySelector("[role=status]");
    this.key = `arm-recent-${document.body.dataset.person}`;
    this.asked = null;
    this.timer = 0;
    this.place = -1;
    this.input.addEventListener("input", () => this.later());
    element.addEventListener("keydown", (event) => this.press(event));
    element.addEventListener("click", (event) => {
      if (event.target === element) element.close();
    });
    this.remember();
  }

  remember() {
    if (!OBJECT.test(location.pathname)) return;
    const title = document.querySelector("h1")?.textContent.trim().replace(/\s+/g, " ").slice(0, 120);
    if (!title) return;
    const others = store(this.key).filter((page) => page.path !== location.pathname);
    store(this.key, [{ path: location.pathname, title }, ...others].slice(0, KEPT));
  }

  open() {
    if (this.element.open) return;
    this.element.showModal();
    this.input.select();
    this.later(0);
  }

  later(wait = 120) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), wait);
  }

  async ask() {
    const text = this.input.value.trim();
    this.asked?.abort();
    if (!text) {
      this.recent();
      return;
    }
    this.asked = new AbortController();
    try {
      const answer = await fetch(`${this.element.dataset.url}?q=${encodeURIComponent(text)}`, {
        headers: { "HX-Request": "true" },
        signal: this.asked.signal,
      });
      if (!answer.ok || answer.redirected) throw new Error(answer.redirected ? "you are signed out" : `${answer.status}`);
      this.hits.innerHTML = await answer.text();
      this.show("Nothing found");
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.hits.replaceChildren();
      this.show(`The search cannot be asked: ${problem.message}`);
    }
  }

  recent() {
    const options = store(this.key).map(({ path, title }) => {
      const link = document.createElement("a");
      link.setAttribute("role", "option");
      link.href = path;
      link.textContent = title;
      return link;
    });
    const group = document.createElement("div");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "Recent");
    const heading = document.createElement("p");
    heading.className = "menu-heading";
    heading.setAttribute("aria-hidden", "true");
    heading.textContent = "Recent";
    group.append(heading, ...options);
    this.hits.replaceChildren(...(options.length ? [group] : []));
    this.show("Type a name, an identifier or a page.");
  }

  get options() {
    return [...this.hits.querySelectorAll("[role=option]")];
  }

  show(otherwise) {
    const { options } = this;
    options.forEach((option, number) => {
      option.id = `palette-hit-${number}`;
      option.tabIndex = -1;
    });
    this.input.setAttribute("aria-expanded", String(options.length > 0));
    this.status.textContent = options.length ? `${options.length} found` : otherwise;
    this.status.classList.toggle("visually-hidden", options.length > 0);
    this.choose(options.length ? 0 : -1);
  }

  choose(place) {
    const { options } = this;
    this.place = options.length ? (place + options.length) % options.length : -1;
    options.forEach((option, number) => option.setAttribute("aria-selected", String(number === this.place)));
    const chosen = options[this.place];
    if (chosen) {
      this.input.setAttribute("aria-activedescendant", chosen.id);
      chosen.scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  press(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      this.choose(this.place + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && event.target === this.input && this.place >= 0) {
      event.preventDefault();
      const link = this.options[this.place];
      if (event.ctrlKey || event.metaKey) window.open(link.href, "_blank", "noopener");
      else location.assign(link.href);
    }
  }
}

if (dialog) {
  const palette = new Palette(dialog);
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
      event.preventDefault();
      palette.open();
    }
  });
  for (const button of document.querySelectorAll("[data-palette-open]")) button.addEventListener("click", () => palette.open());
} else if (document.querySelector("input[name=password]")) {
  forget(); // Whoever signs in next does not read where the last one was.
}
