// One key each, never while typing: "/" search, j and k move, x chooses, o opens, g and a letter goes, ? shows the keys.
import { typing } from "./typing.js";

const keys = document.getElementById("keys");
let going = 0;

function rows() {
  return [...document.querySelectorAll("main tbody tr")].filter((row) => row.querySelector("th a[href]"));
}

function current() {
  return document.activeElement?.closest?.("main tbody tr");
}

function move(by) {
  const all = rows();
  if (!all.length) return;
  const place = all.indexOf(current());
  const next = all[place < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, place + by))];
  next.querySelector("th a[href]").focus();
}

function search() {
  const field =
    document.querySelector("main .filter-bar input:is([type=search], [type=text]):not([type=hidden])") ??
    document.querySelector("[data-search]");
  if (!field) return;
  field.focus();
  field.select();
}

function show() {
  if (!keys) return;
  // Written when it is asked for: a page that is read aloud or searched through does not hold it twice.
  keys.querySelector("[data-keys]").replaceChildren(keys.querySelector("template").content.cloneNode(true));
  keys.showModal();
}

function go(letter) {
  document.querySelector(`a[data-key="${CSS.escape(letter)}"]`)?.click();
}

const VERBS = {
  "/": search,
  j: () => move(1),
  k: () => move(-1),
  x: () => current()?.querySelector("input[type=checkbox]")?.click(),
  o: () => current()?.querySelector("th a[href]")?.click(),
  "?": show,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  if (going && Date.now() - going < 1500) {
    going = 0;
    event.preventDefault();
    go(event.key.toLowerCase());
    return;
  }
  going = event.key === "g" ? Date.now() : 0;
  const verb = VERBS[event.key];
  if (verb) {
    event.preventDefault();
    verb();
  }
});

keys?.addEventListener("click", (event) => {
  if (event.target === keys) keys.close();
});

// Choosing rows: all of the page at once, and how many.
function count(form) {
  const boxes = [...document.querySelectorAll(`input[name=row][form="${form}"]`)];
  const chosen = boxes.filter((box) => box.checked).length;
  for (const place of document.querySelectorAll(`[data-chosen="${form}"]`)) place.textContent = chosen ? ` (${chosen})` : "";
  for (const every of document.querySelectorAll(`[data-choose-all="${form}"]`)) {
    every.checked = boxes.length > 0 && chosen === boxes.length;
    every.indeterminate = chosen > 0 && chosen < boxes.length;
  }
}

document.addEventListener("change", (event) => {
  const form = event.target.dataset?.chooseAll;
  if (form) {
    for (const box of document.querySelectorAll(`input[name=row][form="${form}"]`)) box.checked = event.target.checked;
    count(form);
  } else if (event.target.matches?.("input[name=row][form]")) count(event.target.getAttribute("form"));
});

for (const every of document.querySelectorAll("[data-choose-all]")) count(every.dataset.chooseAll);
